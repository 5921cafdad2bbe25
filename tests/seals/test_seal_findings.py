"""What is found in seals, and by seals in ledgers: signatures of a real Transit engine, one thing wrong at a time."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger_samples import relinked
from ledger_site import Signer
from sealing_site import KEY, SealingSite

from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.chain import Finding
from stepcreds.review.sources import local
from stepcreds.review.verification import verify
from stepcreds.seals.log import Log, read_log
from stepcreds.seals.place import Folder
from stepcreds.seals.seal import PAYLOAD_TYPE, digest, name_of
from stepcreds.trust.keys import Trust

Change = Callable[[dict[str, Any]], object]
LATER = "2100-01-01T00:00:00.000Z"


@pytest.fixture(scope="module")
def sealed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SealingSite]:
    """Three seals over four chains: two, none, two."""
    with SealingSite(stack, tmp_path_factory.mktemp("sealed")) as site:
        for new in (2, 0, 2):
            for _ in range(new):
                site.life()
            assert site.seal().returncode == 0
        yield site


class Copy:
    """The ledgers and the seals, to be spoiled."""

    def __init__(self, site: SealingSite, folder: Path) -> None:
        self.site = site
        self.ledgers, self.seals = folder / "ledgers", folder / "seals"
        shutil.copytree(site.ledgers, self.ledgers)
        shutil.copytree(site.seals, self.seals)
        self.trust: Trust | None = site.trust()

    def path(self, number: int) -> Path:
        return self.seals / name_of(number)

    def chains(self) -> list[Path]:
        return sorted(self.ledgers.glob("*.jsonl"))

    def payload(self, number: int) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(dsse.loads(self.path(number).read_bytes()[:-1]).payload)
        return value

    def forge(
        self, number: int, change: Change = lambda _: None, *, payload_type: str = PAYLOAD_TYPE, version: int = 1
    ) -> None:
        """Seal `number` with something else in it, signed by whoever has the key."""
        value = self.payload(number)
        change(value)
        payload = canonical(value)
        data = base64.b64encode(dsse.pae(payload_type, payload)).decode()
        with self.site.stack.client() as client:
            path = self.site.key.replace("/keys/", "/sign/")
            said = client.write_data(path, data={"input": data, "key_version": version})
        sig = base64.b64decode(said["data"]["signature"].rpartition(":")[2])
        self.put(number, dsse.Envelope(payload_type, payload, (dsse.Signature(f"{self.site.key}:{version}", sig),)))

    def put(self, number: int, envelope: dsse.Envelope) -> None:
        self.path(number).write_bytes(dsse.dumps(envelope) + b"\n")

    def envelope(self, number: int) -> dsse.Envelope:
        return dsse.loads(self.path(number).read_bytes()[:-1])

    def log(self) -> Log:
        return read_log(Folder(self.seals), self.trust)

    def found(self) -> list[Finding]:
        """Everything that there is to find: in the seals, in each chain, and of chains that are not there."""
        log = self.log()
        results = list(verify(local(self.chains()), self.trust, seals=log))
        findings = [finding for each in results for finding in each.findings]
        return [*log.findings, *findings, *log.missing({each.chain_uid for each in results})]

    def by_seals(self) -> list[Finding]:
        return [each for each in self.found() if each.layer == "seal"]

    def take(self, chain: Path) -> Path:
        """A chain that the site wrote later."""
        for path in (chain, checkpoint.beside(chain)):
            shutil.move(path, self.ledgers / path.name)
        return self.ledgers / chain.name

    def told(self) -> list[tuple[str, str, str, str]]:
        return [(each.layer, Path(each.file).name, each.code, each.certainty) for each in self.found()]


@pytest.fixture
def copy(sealed: SealingSite, tmp_path: Path) -> Copy:
    return Copy(sealed, tmp_path)


def seal(number: int, code: str, certainty: str = "tampered") -> tuple[str, str, str, str]:
    return "seal", name_of(number), code, certainty


def test_nothing_is_found_where_nothing_is_wrong(copy: Copy) -> None:
    assert copy.found() == []
    assert (copy.log().state, len(copy.log().seals)) == ("signed", 3)
    copy.trust = None
    assert copy.found() == []
    assert copy.log().state == "not checked"


# The seals themselves.


def test_a_seal_that_was_exchanged_breaks_the_link_of_the_next(copy: Copy) -> None:
    copy.forge(2, lambda value: value.update(time=copy.payload(3)["time"]))
    assert copy.told() == [seal(3, "prev")]


@pytest.mark.parametrize("number", [1, 2])
def test_a_seal_that_is_missing(copy: Copy, number: int) -> None:
    copy.path(number).unlink()
    (found,) = [each for each in copy.found() if each.file.startswith(str(copy.seals))]
    assert (found.file, found.code, found.certainty) == (f"{copy.path(number + 1)}", "gap", "incomplete")
    assert found.meaning == f"seal {number} is missing before it: removed, or not copied"


def test_several_that_are_missing(copy: Copy) -> None:
    copy.path(1).unlink()
    copy.path(2).unlink()
    assert copy.log().findings[0].meaning == "the seals 1 to 2 are missing before it: removed, or not copied"


def test_a_newest_seal_that_was_removed_is_for_whoever_wrote_it_down(copy: Copy) -> None:
    """Nothing in what is left says that there was another: docs/seal.md says what does."""
    copy.path(3).unlink()
    assert [each for each in copy.found() if each.layer == "seal" and each.code != "unsealed"] == []
    last = copy.log().last
    assert last is not None
    assert last.seal.seq == 2


def test_a_seal_under_another_number(copy: Copy) -> None:
    shutil.copy(copy.path(3), copy.path(4))
    assert copy.told() == [
        seal(4, "seq"),
        seal(4, "prev"),
        seal(4, "root"),
        seal(4, "consistency"),
    ]


def test_a_root_that_is_another(copy: Copy) -> None:
    copy.forge(3, lambda value: value.update(root="ab" * 32))
    assert copy.told() == [seal(3, "root"), seal(3, "consistency")]


def test_a_size_that_is_another(copy: Copy) -> None:
    copy.forge(3, lambda value: value.update(tree_size=5))
    assert copy.told() == [seal(3, "root"), seal(3, "consistency")]


def test_an_older_leaf_that_was_changed_by_who_has_the_key(copy: Copy) -> None:
    """Every seal is signed anew, and links to the one before; the roots that were told to others are kept."""
    copy.forge(1, lambda value: value["leaves"][0].update(head="cd" * 32))
    for number in (2, 3):
        prev = digest(copy.path(number - 1).read_bytes())
        copy.forge(number, lambda value, prev=prev: value.update(prev=prev))  # type: ignore[misc]
    chain = copy.payload(1)["leaves"][0]["name"]
    assert copy.told() == [seal(1, "root"), ("seal", chain, "rewritten", "tampered")]


def test_a_tree_that_does_not_begin_with_the_one_before(copy: Copy) -> None:
    """The same, with roots that fit: only the root of seal 2, which somebody may hold, does not."""

    def rewrite(value: dict[str, Any]) -> None:
        from stepcreds.seals.seal import Leaf, hash_of
        from stepcreds.seals.tree import consistency, root_of

        old = [hash_of(Leaf(**leaf)) for leaf in copy.payload(1)["leaves"]]
        new = [hash_of(Leaf(**{**leaf, "size": 1})) for leaf in copy.payload(1)["leaves"]]
        added = [hash_of(Leaf(**leaf)) for leaf in value["leaves"]]
        assert old != new
        value["root"] = root_of(new + added).hex()
        value["consistency"] = [each.hex() for each in consistency(new + added, 2)]

    copy.forge(3, rewrite)
    assert copy.told() == [seal(3, "root"), seal(3, "consistency")]


def test_a_signature_that_is_none(copy: Copy) -> None:
    envelope = copy.envelope(3)
    (signature,) = envelope.signatures
    copy.put(3, envelope._replace(signatures=(signature._replace(sig=bytes(64)),)))
    assert copy.found()[0].meaning == "the signature is not of the key that it names"
    assert copy.told()[0] == seal(3, "signature")
    assert copy.log().state == "partly signed"


def test_another_key_under_the_name_of_the_right_one(copy: Copy) -> None:
    envelope = copy.envelope(3)
    forged = dsse.loads(Signer(KEY, "another").envelope(PAYLOAD_TYPE, envelope.payload))
    assert forged.signatures[0].keyid == envelope.signatures[0].keyid
    copy.put(3, forged)
    assert copy.told()[0] == seal(3, "signature")


def test_a_key_that_nobody_trusts_for_seals(copy: Copy) -> None:
    """A step's own key, which the reviewer trusts for checkpoints."""
    step = Signer("transit/keys/stepcreds-ledger-9000000")
    copy.put(3, dsse.loads(step.envelope(PAYLOAD_TYPE, copy.envelope(3).payload)))
    found = copy.found()[0]
    assert (found.code, found.certainty) == ("key", "unknown")
    assert found.meaning == (
        "signed with transit/keys/stepcreds-ledger-9000000:1, which the trust file does not have for seals"
    )


def test_no_key_for_seals_at_all(copy: Copy) -> None:
    copy.trust = Trust("", ())
    told = copy.told()
    assert told[:3] == [seal(number, "key", "unknown") for number in (1, 2, 3)]
    assert copy.found()[0].meaning == "the trust file has no key for seals, so nobody can say whose it is"


def test_a_version_that_was_no_longer_valid(stack: Stack, tmp_path: Path) -> None:
    with SealingSite(stack, tmp_path, mount="sealing-2") as site:
        site.life()
        assert site.seal().returncode == 0
        site.rotate()
        assert site.seal().returncode == 0
        copy = Copy(site, tmp_path / "copy")
        assert copy.found() == []
        copy.forge(2, lambda value: value.update(time=LATER), version=1)
        keys = site.keys()
        (found,) = copy.found()
        assert (found.code, found.certainty) == ("window", "tampered")
        assert found.meaning == (
            f"signed with {site.key}:1 at {LATER}, which is valid from {keys[0].not_before} to {keys[0].not_after}"
        )


@pytest.mark.parametrize("kind", [checkpoint.PAYLOAD_TYPE, "application/vnd.in-toto+json"])
def test_what_was_signed_as_something_else_is_no_seal(copy: Copy, kind: str) -> None:
    copy.forge(3, payload_type=kind)
    assert copy.found()[0].meaning == f"signed as {kind}, which is no seal"
    assert copy.told()[0] == seal(3, "type")
    # And with the type of a seal written over it.
    copy.put(3, copy.envelope(3)._replace(payload_type=PAYLOAD_TYPE))
    assert copy.told()[0] == seal(3, "signature")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:-1] + b"\r",
        lambda data: data[:-1] + b" \n",
        lambda data: data + data,
        lambda data: b'{"payload":""}\n',
        lambda data: b"\xff" * 100 + b"\n",
    ],
)
def test_bytes_that_are_no_seal(copy: Copy, spoil: Callable[[bytes], bytes]) -> None:
    copy.path(3).write_bytes(spoil(copy.path(3).read_bytes()))
    assert copy.told()[0] == seal(3, "unreadable")


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("root"),
        lambda value: value.update(schema="stepcreds.seal/2"),
        lambda value: value.update(more=1),
        lambda value: value.update(seq="3"),
        lambda value: value.update(seq=True),
        lambda value: value.update(tree_size=1),
        lambda value: value.update(time="yesterday"),
        lambda value: value.update(consistency=["x"]),
        lambda value: value.update(consistency=None),
        lambda value: value.update(leaves=[{}]),
        lambda value: value.update(leaves=[5]),
        lambda value: value["leaves"][0].update(size=0),
        lambda value: value["leaves"][0].update(name=None),
        lambda value: value.update(parquet={}),
        lambda value: value.update(parquet={"name": "x", "sha256": 5, "rows": 1}),
        lambda value: value.update(refused=[{"name": 1, "chain_uid": "", "code": ""}]),
    ],
)
def test_fields_that_cannot_be(copy: Copy, change: Change) -> None:
    copy.forge(3, change)
    assert copy.told()[0] == seal(3, "unreadable")


def test_a_clock_that_was_set_back(copy: Copy) -> None:
    copy.forge(3, lambda value: value.update(time="2026-01-01T00:00:00.000Z"))
    copy.trust = None
    assert copy.told()[0] == seal(3, "time", "unknown")


# What seals find in ledgers.


def test_a_chain_that_was_removed(copy: Copy) -> None:
    gone = copy.chains()[0]
    size = len(gone.read_bytes().splitlines())
    when = copy.payload(1)["time"]
    gone.unlink()
    checkpoint.beside(gone).unlink()
    (found,) = copy.found()
    assert found == Finding(
        "seal",
        gone.name,
        0,
        "deleted",
        f"a chain of {size} records is in the seal of {when} ({copy.path(1)}) and is not here: it was removed, or is "
        "not among the ledgers that were named",
        "incomplete",
    )


def test_an_end_that_was_cut_with_its_checkpoints(copy: Copy) -> None:
    """The rest is a good chain, and looks like one of a runner that was lost."""
    chain = copy.chains()[0]
    lines = chain.read_bytes().splitlines(keepends=True)
    chain.write_bytes(b"".join(lines[:1]))
    checkpoint.beside(chain).unlink()
    (found,) = copy.found()
    assert (found.layer, found.line, found.code, found.certainty) == ("seal", 1, "shorter", "tampered")
    assert found.meaning == (
        f"1 record, and {len(lines)} in the seal of {copy.payload(1)['time']} ({copy.path(1)}): its end was cut, or this "
        "is an older copy"
    )


def test_a_chain_that_was_written_anew(copy: Copy) -> None:
    chain = copy.chains()[0]
    records = [json.loads(line) for line in chain.read_bytes().splitlines()]
    records[1]["inherited"] = ["NOTHING"]
    chain.write_bytes(relinked(records))
    assert ("checkpoint", "head", "tampered") in {(each.layer, each.code, each.certainty) for each in copy.found()}
    checkpoint.beside(chain).unlink()  # without them it is one that nobody signed
    assert {each.layer for each in copy.found() if each.certainty == "tampered"} == {"seal"}
    (found,) = copy.by_seals()
    assert (found.layer, found.line, found.code, found.certainty) == ("seal", len(records), "rewritten", "tampered")


def test_a_chain_in_the_place_of_another(copy: Copy) -> None:
    """With a nonce of its own: no seal knows it, and the one that was there is missing."""
    first = copy.chains()[0]
    other = copy.take(copy.site.life())
    for path in (first, checkpoint.beside(first)):
        path.unlink()
    codes = [(each.file, each.code, each.certainty) for each in copy.found()]
    assert codes == [(str(other), "unsealed", "incomplete"), (first.name, "deleted", "incomplete")]


def test_a_chain_that_no_seal_knows_although_it_was_over(copy: Copy) -> None:
    new = copy.take(copy.site.life())
    (found,) = copy.found()
    assert (found.layer, found.file, found.line, found.code, found.certainty) == (
        "seal",
        str(new),
        0,
        "unsealed",
        "incomplete",
    )
    assert found.meaning == (
        f"it was closed before the seal of {copy.payload(3)['time']} ({copy.path(3)}), and nothing of it is sealed: it "
        "came here later than it says, or was kept from the seals"
    )


def test_a_chain_that_ended_just_before_the_seal_was_on_its_way(copy: Copy) -> None:
    copy.take(copy.site.life(when=copy.site.stack_now() - 600))
    assert copy.found() == []


def test_a_chain_that_goes_on_is_no_finding(stack: Stack, tmp_path: Path) -> None:
    with SealingSite(stack, tmp_path, mount="sealing-2") as site:
        chain = site.life()
        restore = site.shorten(chain, 3)
        assert site.seal().returncode == 0
        restore()
        copy = Copy(site, tmp_path / "copy")
        # Only that the rest of it is not sealed yet, for a chain that says that it was over by then.
        (found,) = copy.found()
        size = len(chain.read_bytes().splitlines())
        assert (found.code, found.line, found.certainty) == ("unsealed", 4, "incomplete")
        assert f"only 3 of its {size} records are sealed" in found.meaning


def test_what_a_forged_seal_says_of_chains_counts_for_nothing(copy: Copy) -> None:
    def invent(value: dict[str, Any]) -> None:
        value["leaves"].append({**value["leaves"][0], "chain_uid": "ef" * 32, "name": "invented.jsonl"})

    copy.forge(3, invent)
    envelope = copy.envelope(3)
    copy.put(3, dsse.loads(Signer(KEY, "another").envelope(PAYLOAD_TYPE, envelope.payload)))
    assert "invented.jsonl" not in {Path(each.file).name for each in copy.found()}
    copy.trust = None
    assert ("seal", "invented.jsonl", "deleted", "incomplete") in copy.told()


def test_of_many_that_are_missing_the_number_is_told(copy: Copy) -> None:
    def many(value: dict[str, Any]) -> None:
        value["leaves"] = [{**value["leaves"][0], "chain_uid": f"{number:064x}"} for number in range(103)]
        value["tree_size"] = 103

    copy.forge(1, many)
    missing = copy.log().missing(set())
    assert len(missing) == 101
    assert missing[-1].meaning == "5 more chains are sealed and not here"
