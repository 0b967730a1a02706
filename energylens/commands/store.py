"""The subcommands store ls, verify and gc."""

import argparse

from energylens.commands.project import needed, open_store, session_of


def list_artifacts(options: argparse.Namespace) -> int:
    """Print the stored artifacts."""
    from tabulate import tabulate

    store = open_store(options)
    entries = sorted(store.ls(), key=lambda entry: (entry.kind, entry.label, entry.created))
    rows = [(e.kind, e.label, f"{e.bytes / 2**20:.1f}", e.created, e.key[:12]) for e in entries]
    print(tabulate(rows, ["kind", "artifact", "MiB", "created", "key"]))
    print(f"{len(entries)} artifacts, {sum(e.bytes for e in entries) / 2**20:.1f} MiB in {store.url}")
    return 0


def verify(options: argparse.Namespace) -> int:
    """Check every artifact and return 1 if one is damaged."""
    checked = open_store(options).verify()
    damaged = [each for each in checked if each.problem]
    for each in damaged:
        print(f"{each.folder}: {each.problem}")
    print(f"{len(checked) - len(damaged)} sound, {len(damaged)} damaged")
    return 1 if damaged else 0


def collect_garbage(options: argparse.Namespace) -> int:
    """Delete artifacts that no claim needs."""
    from energylens.store import key_of

    with session_of(options) as session:
        recipes = needed(session, [each.claim for each in session.declared.values()])
    wanted = {key_of(needed) for recipe in recipes for needed in (recipe, *recipe.inputs())}
    removed = session.store.gc(wanted)
    print(f"removed {len(removed)} folders, {sum(each.bytes for each in removed) / 2**20:.1f} MiB")
    return 0
