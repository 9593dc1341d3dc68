"""The columns that each table promises, at least these."""

SUMMARY = (
    "method,k,n_seeds,replicates,stability_mean,stability_median,stability_p10,stability_chance,"
    "stability_fraction_below_0.3,consensus_silhouette,explained,held_out_r2,held_out_r2_se,held_out_log_likelihood,"
    "objective,objective_spread,sparsity,orthogonality,effective_rank,converged,"
    "chosen,shortlisted,reason"
)
METRICS_NO_CV = (
    "patient,penalty,alpha,k,n_cells,n_positive,n_negative,auc,average_precision,balanced_accuracy,recall_positive,"
    "recall_negative,precision_positive,precision_negative,brier,log_loss,deviance_explained,n_nonzero,gap"
)
METRICS = (
    "patient,penalty,alpha,k,n_cells,n_positive,n_negative,folds,repeats,auc_mean,auc_sd,average_precision_mean,gap"
)
K_CURVES = "k,replicate,stability,prediction_error"
COMPONENT_MATCHES = "seed,component,match_median,match_min,consensus_cluster,silhouette"
OOF = "patient,cell,penalty,repeat,fold,label,decision,probability,alpha"
PLAN1A_SUMMARY = "preprocess,method,k,penalty,n_patients,n_skipped,alpha"
PLAN1B_SUMMARY = (
    "preprocess,method,k,penalty,alpha,n_patients,n_skipped,auc_median,auc_median_low,auc_median_high,auc_mean,auc_min,auc_max,auc_median_own_alpha,"
    "average_precision_median,balanced_accuracy_median,best"
)
PERMUTED_SUMMARY = "preprocess,method,k,penalty,alpha,n_patients,n_skipped,auc_median,best"
CONTROLS = (
    "stage,preprocess,supervised,method,k,penalty,score,n_patients,observed,permutations,permuted_mean,permuted_sd,"
    "permuted_min,permuted_max,excess,p,z,observed_within_strata,permuted_within_strata,p_within_strata,chance_low,"
    "chance_high,above_chance"
)
SEARCH_AUCS = "patient,penalty,labelling,alpha,auc_within_strata"
SEARCH_LABELLINGS = "labelling,preprocess,method,penalty,alpha,auc_within_strata"
SEARCH_CONFIGURATIONS = (
    "preprocess,method,k,penalty,alpha,auc_within_strata,permuted_median,permuted_upper,p_alone,p_search"
)
TWIN_CURVES = "patient,penalty,alpha,auc_within_strata"
TWIN_SUMMARY = "preprocess,supervised,method,k,penalty,n_patients,auc_within_strata_median"
STRATA = "stratum,n_cells,n_positive,n_negative,permuted,log10_arrangements,reason"
POOLED = "mode,downsampling,penalty,alpha,n_cells,auc_mean,average_precision_mean"
RELIABILITY = "mode,downsampling,penalty,alpha,bin_from,bin_to,n_predictions,weight,mean_probability,share_positive"
PLAN1C_SUMMARY = (
    "preprocess,method,k,mode,downsampling,penalty,l1_ratio,alpha,n_patients,n_skipped,auc_median,auc_median_low,"
    "auc_median_high,auc_mean,auc_min,auc_max,auc_choice_left_out_median,average_precision_median,"
    "recall_positive_median,calibration_error_median,auc_all_cells,average_precision_no_skill_median,"
    "accuracy_majority_median,auc_library_size_median,best_of_mode,best"
)
BASELINES = "patient,n_cells,n_positive,n_negative,prevalence,majority_accuracy,auc_library_size,auc_detected_genes"
DECOY = "patient,n_cells,n_positive,n_negative,n_features,alpha,auc_mean"
