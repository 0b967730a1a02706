import pytest

from energylens.cli import main
from energylens.harness.compare.replication import replicate
from energylens.harness.compare.replications import read_replications, replication_line
from energylens.harness.json_values import write_json
from energylens.report import write_report
from energylens.report.content.replication import REPLICATION_FIGURE, replication_blocks, replication_text
from energylens.stats import t_interval
from energylens.tests.harness.compare.test_replication import part, run
from energylens.tests.report.helpers.example import only, whole_report

HERE = run([part(t_interval([2.0, 2.1, 2.2]))])
NEAR = run([part(t_interval([2.0, 2.1, 2.3]))], cpu="near")
FAR = run([part(t_interval([0.0, 0.1, 0.2]))], "REFUTED", cpu="<b>far|away</b>\x1b[31m")


def test_the_text_tells_every_machine_and_what_does_not_replicate():
    text = replication_text(
        [replicate(HERE, NEAR), replicate(HERE, FAR)], ["here.json", "near.json", "far.json"]
    )
    assert "run of record: here.json, one; torch 2; 1 thread" in text
    assert "1 of 1 verdict have the same word; of 1 estimate 0.0 % lie beyond ±2 standard errors" in text
    assert (
        "does not replicate: toy.mean/dice: HOLDS -> REFUTED, 2.1 [1.93, 2.27] -> 0.1 [−0.0686, 0.269], z = −24.5"
        in text
    )
    assert "\x1b" not in text


def test_the_report_has_a_row_per_machine_and_escapes_its_name():
    text = "\n".join(replication_blocks([replication_line(replicate(HERE, each)) for each in (NEAR, FAR)]))
    assert "**1**" in text
    assert "**0**" in text
    assert "Estimates that do not replicate, " in text
    assert "r of seeds" in text
    assert "0.97" not in text
    line = replication_line(replicate(HERE, NEAR)) | {"correlation": 0.967}
    assert "0.967" in "\n".join(replication_blocks([line]))
    assert "<b>" not in text
    assert "far|away" not in text
    assert "\x1b" not in text


def test_the_command_prints_records_and_draws(tmp_path, capsys):
    for name, content in (("here", HERE), ("near", NEAR), ("far", FAR)):
        write_json(tmp_path / f"{name}.json", content | {"schema": 1})
    names = [str(tmp_path / f"{name}.json") for name in ("here", "near", "far")]
    record, figure = tmp_path / "replications.jsonl", tmp_path / "z.svg"
    assert main(["replicate", *names, "--record", str(record), "--figure", str(figure)]) == 0
    assert len(read_replications(record)) == 2
    assert figure.read_bytes().startswith(b"<svg")
    assert "z = −24.5" in capsys.readouterr().out
    assert main(["replicate", *names, "--figure", str(tmp_path / "z.pdf")]) == 1
    assert "z.pdf" in capsys.readouterr().err


@pytest.mark.parametrize("far", [[], ["x"]])
def test_trust_shows_replications(tmp_path, far):
    from energylens.harness.trust_file import read_sections
    from energylens.report.content.trust import trust_section

    assert "replication" not in read_sections(tmp_path)
    from energylens.harness.compare.replications import REPLICATIONS, record_replication

    record_replication(tmp_path / REPLICATIONS, replication_line(replicate(HERE, FAR if far else NEAR)))
    section = trust_section(read_sections(tmp_path), {"replication": ["figure"]})
    (shown,) = section["parts"]
    assert shown["title"] == "Do findings come out the same on another machine?"
    assert shown["figures"] == ["figure"]
    assert any("Estimates that do not replicate" in str(block) for block in shown["blocks"]) == bool(far)


def test_the_report_draws_z_of_other_machines_beside_what_it_tells_of_them(results, tmp_path):
    lines = [replication_line(replicate(HERE, each)) for each in (NEAR, FAR)]
    section = {
        "numbers": {"lines": lines},
        "started": "2026-01-02",
        "seconds": 0.0,
        "commit": "abc",
        "dirty": False,
    }
    write_report(only(results, "fourier.grokked-circuit"), tmp_path, trust={"replication": section})
    assert (tmp_path / "figures" / f"{REPLICATION_FIGURE}.svg").exists()
    text = whole_report(tmp_path)
    assert "Do findings come out the same on another machine?" in text
    assert f"(../figures/{REPLICATION_FIGURE}.svg)" in text
