"""Every name of the library in one script, as in a notebook: python docs/example.py [TEXT]"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import charlstm

# A text, its characters, and settings for a training of a few seconds.
folder = Path(tempfile.mkdtemp())
text = sys.argv[1] if len(sys.argv) > 1 else "python-reference"
corpus: charlstm.Corpus = charlstm.open_corpus(text, charlstm.TextOptions(max_chars=50_000))
vocabulary: charlstm.Vocabulary = corpus.vocabulary
print(charlstm.describe(corpus).top[:3], len(vocabulary))
usual: charlstm.Settings = charlstm.preset("quick", corpus.chars, len(vocabulary))
settings = usual.with_changes(hidden_size=32, kernel="nn", threads=1, max_steps=40)


def line(event: charlstm.AnyEvent) -> str:
    match event:
        case charlstm.Stepped():
            return f"{event.train_loss:.3f} nats per character at learning rate {event.lr:.1e}"
        case charlstm.Validated():
            return f"{event.loss:.3f} nats per character on held-out text"
        case charlstm.Sampled():
            return event.prime + event.text
        case charlstm.Warned() | charlstm.Failed():
            return event.message
        case charlstm.Started() | charlstm.Resumed() | charlstm.Checkpointed():
            return event.name
        case charlstm.Controlled() | charlstm.Decided():
            return event.name
        case charlstm.Paused() | charlstm.Finished():
            return f"{event.name}: {event.reason}"


# Training in this process: events as they happen, then the best model. A store keeps what is saved on the way.
print(f"charlstm {charlstm.__version__}")
store: charlstm.CheckpointStore = charlstm.FolderStore(folder / "training")
trainer = charlstm.Trainer(corpus, settings, store=store)
for event in trainer.events():
    print(event.step, line(event))
best: charlstm.Model = trainer.best
charlstm.save_model(folder / "best.safetensors", best)
print(sum(weight.numel() for weight in charlstm.CharLSTM.from_model(best).parameters()), "weights")

# Its exact state, in a file, and 10 more steps from there. A line shows the progress.
charlstm.save_state(folder / "state.safetensors", trainer.state())
state: charlstm.TrainingState = charlstm.load_state(folder / "state.safetensors")
longer = charlstm.Trainer.resume(corpus, state.settings.with_changes(max_steps=50), state)
with charlstm.ProgressLine() as show:
    print(longer.train(show).loss)

# The same as a run: a folder, trained by a process of its own that outlives this one; then resumed for 20 more steps.
run: charlstm.Run = charlstm.start_run(corpus, settings, name="example", runs_dir=folder)
run.wait()
charlstm.resume_run(charlstm.find_run("example", folder), changes={"max_steps": 60})
run.wait(progress=True)
events: Sequence[charlstm.Event] = run.events()
runs: charlstm.RunList = charlstm.list_runs(folder)
print(runs)
print([each.name for each in runs], len(events), run.history()["val_loss"])

# A model: how well it predicts, what it writes, how it sees a text, what it copied.
model = charlstm.load_model(charlstm.find_model("example", folder))
print(f"{charlstm.evaluate(model, corpus).bits_per_char:.3f} bits per character")
sampler = charlstm.SamplerSettings(temperature=0.7)
print(charlstm.generate("demo", "The ", 80, settings=sampler, clamps=[charlstm.Clamp(2, 187, value=-1.0)]))
print(charlstm.generate_many(model, "The ", 40, samples=3, temperature=0.7))
names = charlstm.open_corpus(text="anna\nbo\ncy\ndora\n" * 500, units="lines")
known = [names.text(*span) for span in names.units]
namer = charlstm.Trainer(names, settings)
namer.train()
print(charlstm.generate_units(namer.best, 5, 20, known=known, unique=True))
session = charlstm.Session(model, "The ", seed=1, settings=sampler)
steps: list[charlstm.Step] = list(session.stream(60))
session.rewind(20)
session.choose(steps[20].alternatives[1].char)  # another character than it drew, and on from there
print(session.text + "".join(step.char for step in session.stream(40)))
print(charlstm.score(model, session.text).bits_per_char, charlstm.novelty(session.text, corpus).share)
print([each.bits_per_char for each in charlstm.score_models([model, "demo"], session.text)])
print(charlstm.score_dynamic(model, session.text, strength=0.5).bits_per_char)  # a copy learns as it reads

# Weights of another program, with their characters, as a model.
own = charlstm.Model(charlstm.ModelConfig(len(vocabulary), 32, best.config.num_layers), vocabulary, best.weights)
print(charlstm.generate(own, "The ", 20))

# Inside the model: which cells follow what, why a character is expected, what could come next.
print(charlstm.name_cells(model, corpus.text(0, 3000), patterns={"the": r"\bthe\b"})[0])
print(charlstm.activations(model, session.text).cells.shape, charlstm.lesions(model, corpus.text(0, 800)).ranked(3))
print(charlstm.influence("demo", "The value of the function", 20).strongest)
print(charlstm.context(model, corpus.text(0, 2000), places=5).used)
print(charlstm.next_words("demo", "The ", count=3), charlstm.multiverse("demo", "The ", depth=3, cutoff=0.05).children)
try:
    charlstm.find_run("no such run", folder)
except charlstm.CharLSTMError as error:
    print(error)
