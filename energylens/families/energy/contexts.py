"""Top features with the text they fire on, as a small table that a person can read."""

from typing import Any, cast

from energylens.families.energy.energy_study import EnergyStudy
from energylens.models.network import Network
from energylens.models.tasks.text import TextOnCorpus

SHOWN, CONTEXTS, AROUND = 8, 2, 8
"""Features, contexts of each, and tokens before and after the one that it fires on."""


def feature_table(study: EnergyStudy, network: Network) -> dict[str, Any]:
    """Series of a "table" figure: the SHOWN features with the largest |EFAS| on discovery documents.

    Contexts: confirmation windows where the feature is most active, one of each document at most.
    """
    reading, corpus = study.readings["confirmation"], cast(TextOnCorpus, network.task).corpus
    latents = study.top[:SHOWN]
    acts = study.top_acts[:, :SHOWN].unflatten(0, (len(reading.text.tokens), -1))
    found = study.alignment("confirmation")
    per_document = len(reading.text.tokens) // reading.text.n_documents
    rows = []
    for column, latent in enumerate(latents.tolist()):
        strongest, position = acts[:, :, column].max(1)
        best, window = strongest.unflatten(0, (-1, per_document)).max(1)
        cells: list[Any] = []
        for document in best.argsort(descending=True)[:CONTEXTS].tolist():
            row = document * per_document + int(window[document])
            at = int(position[row]) + 1
            tokens = reading.text.tokens[row].tolist()
            parts = (tokens[max(1, at - AROUND) : at], tokens[at : at + 1], tokens[at + 1 : at + 1 + AROUND])
            cells.append([corpus.decode(part) for part in parts] if best[document] > 0 else "")
        efas = [float(study.alignment(split).efas_all[latent]) for split in ("discovery", "confirmation")]
        rows.append([str(latent), *efas, int(found.firing_counts[latent]), *cells])
    columns = ["latent", "EFAS, discovery", "EFAS, confirmation", "firing tokens"]
    return {"columns": [*columns, *(f"context {i + 1}" for i in range(CONTEXTS))], "rows": rows}
