# Shortcuts. Nothing here is required: each line is one command you can type.

# List the recipes.
default:
    @just --list

# Write a script here and now.
generate topic="한빛시 자율주행 심야버스":
    cargo run --release -- generate "{{topic}}"

# API, worker and store in one process on http://127.0.0.1:8080.
up:
    cargo run --release -- up

# Exactly what CI runs.
check:
    bash tests/run

# The tests whose names contain a word.
test name:
    bash tests/run {{name}}

# Random histories against the model, of so many operations per test.
sim operations="100000":
    LOVAGE_SIM_OPS={{operations}} bash tests/run random_histories

# Rewrite the golden files; the diff is the review.
golden:
    LOVAGE_GOLDEN=write bash tests/run

# What the queue does on this machine; `just bench --all` for everything.
bench *args:
    cargo run --release -- bench {{args}}

# Measure everything and write it into docs/performance.md.
performance:
    cargo run --release -- bench --all --markdown docs/performance.md
