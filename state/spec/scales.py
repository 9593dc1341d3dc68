"""How much of the study each checkpoint runs where the goal spec does not say."""

from stagewright.state.spec.goal import Checkpoint, GoalSpec, Scale

__all__ = ["SCALES", "scale_of"]

SCALES: dict[Checkpoint, Scale] = {
    # A finds crashes: every patient, method and preprocess, few cells of each.
    "A": Scale(cells_per_patient=100, n_seeds=2, n_k=2, repeats=1),
    # B is a rehearsal: enough cells for scores to mean something, a reduced grid.
    "B": Scale(cells_per_patient=1000, n_seeds=3, n_k=2, n_preprocess=2, repeats=2),
    "C": Scale(),
}


def scale_of(spec: GoalSpec, checkpoint: Checkpoint) -> Scale:
    """Return a checkpoint's scale: what the spec says of it, and the default for the rest."""
    said = spec.checkpoints.get(checkpoint, Scale()).model_dump(exclude_unset=True)
    return SCALES[checkpoint].model_copy(update=said)
