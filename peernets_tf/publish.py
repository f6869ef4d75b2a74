"""Makes a trained run small enough to commit: `python -m peernets_tf.publish`.

Keeps the weights and the first graph of peers, drops the optimizer, and counts
the correct ones of some test images again for the small model.
"""

import dataclasses
import os

import keras
from absl import flags

from peernets_tf import command, data, models, peers, results, training

_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "The --output_dir of a finished training.", required=True
)
_NAME = flags.DEFINE_string(
    "name", None, "The name of the published model.", required=True
)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "checkpoints", "Where it goes.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "TensorFlow Datasets directory. Default: TFDS's own."
)
_TEST_SIZE = flags.DEFINE_integer(
    "test_size", 1000, "The first test images, counted with one graph.", 1
)


def publish(argv: list[str]) -> None:
    """Writes NAME.keras, its record NAME.json and its card NAME.md."""
    del argv
    run = results.read_json(os.path.join(_RUN_DIR.value, "record.json"))
    model = models.load(os.path.join(_RUN_DIR.value, "model.keras"))
    for layer in peers.peer_layers(model):
        layer.set_peers(keras.ops.convert_to_numpy(layer.peers)[:1])
    test = data.load(run.dataset, _DATA_DIR.value).test.first(_TEST_SIZE.value)
    small = dataclasses.replace(
        run,
        weights_sha256=results.weights_sha256(model),
        test_size=len(test),
        correct=training.count_correct(model, test),
        num_graphs=min(run.num_graphs, 1),
    )
    os.makedirs(_OUTPUT_DIR.value, exist_ok=True)
    path = os.path.join(_OUTPUT_DIR.value, _NAME.value)
    with results.atomic_file(f"{path}.keras") as temporary:
        model.save(temporary)
    results.write_json(small, f"{path}.json")
    with (
        results.atomic_file(f"{path}.md") as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        file.write(_model_card(run, small))
    size = os.path.getsize(f"{path}.keras") / 1e6
    print(f"{path}.keras: {size:.1f} MB, {small.accuracy:.2%} of {len(test)}")


def _model_card(
    run: results.TrainingResult, small: results.TrainingResult
) -> str:
    graphs = ""
    if run.num_peers:
        graphs = f", mean over {run.num_graphs} graphs of {run.num_peers} peers"
    start = ""
    if run.initial_model:
        start = (
            f", the first ones as the {run.initial_model['model']} in "
            f"{run.initial_model['path']}"
        )
    return f"""# {_NAME.value}

{run.model}, trained on {run.dataset} for {run.epochs} epochs{start}.

- Test accuracy: {run.accuracy:.2%} of {run.test_size} images{graphs}.
- This file{" with its one graph" if run.num_peers else ""}: \
{small.accuracy:.2%} of the first {small.test_size} test images.
- Trained by `{run.command}` at commit {run.commit}, seed {run.seed}, on \
{run.device}, {_duration(run.seconds)}.
- Takes float32 images `(B, H, W, C)` in [0, 1], gives logits.

```python
model = peernets_tf.load_pretrained("{_NAME.value}")
```

Meant for research on robustness, and no defence to rely on: README.md has what
attacks did to it.
"""


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes"


if __name__ == "__main__":
    command.run(publish)
