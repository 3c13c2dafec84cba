"""The check of roles: warns where a source asks with its answers, and only there."""

import msgspec
import pytest

import dollymix
from dollymix.formats import parse_record
from dollymix.steps import roles
from tests.helpers import ORIGIN, merge, read_ledger, read_lines, write_json

ASKED = (
    "파이썬으로 리스트를 뒤집는 코드를 작성해줘",
    "서울에서 부산까지 얼마나 걸려요?",
    "이 문장을 영어로 번역해 주세요: 나는 학교에 간다.",
    "인공지능의 역사를 요약하세요.",
    "왜 하늘은 파란가요?",
    "Write a poem about the sea.",
    "다음 중 가장 큰 수는 무엇입니까?\n1. 3\n2. 7",
    "계속",
)
ANSWERED = (
    "네, 다음과 같이 작성할 수 있습니다. reversed(list)를 쓰거나 슬라이스 [::-1]을 쓰면 됩니다.",
    "기차로는 약 두 시간 반, 자동차로는 네다섯 시간이 걸립니다. 교통 상황에 따라 다릅니다.",
    "물론입니다! 'I go to school.'이라고 번역할 수 있습니다. 더 필요한 것이 있으면 알려 주십시오.",
    "인공지능 연구는 1956년 다트머스 회의에서 시작되어 여러 번의 겨울을 지나 오늘에 이르렀습니다.",
    "빛의 산란 때문입니다. 파장이 짧은 파란빛이 공기 분자에 더 많이 흩어지기 때문입니다.",
    "Sure! The sea is wide and deep and blue, and sings its song the whole night through to me.",
    "가장 큰 수는 2번, 7입니다. 3보다 4만큼 크기 때문에 다른 것을 볼 필요가 없습니다.",
    "죄송합니다. 무엇을 계속할지 알 수 없습니다. 조금 더 자세히 말씀해 주시면 도와드리겠습니다.",
)
PRINTED = "{roles: {instruction: [gpt], response: [human]}}"


@pytest.fixture
def chats(tmp_path):
    """A file of conversations in which the person asks and the model answers."""
    records = []
    for number in range(40):
        turns = []
        for question, answer in list(zip(ASKED, ANSWERED, strict=True))[number % 5 :]:
            turns += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        records.append({"id": f"c{number}", "conversations": turns})
    write_json(tmp_path / "chats.json", records)
    return tmp_path


def build(place, options="{}"):
    """A build with the check in it."""
    source = f"{{name: s, files: [chats.json], format: sharegpt, options: {options}}}"
    return merge(f"version: 1\nsources:\n  - {source}\nsteps: [roles]\n", place / "out")


def test_the_mapping_as_the_log_prints_it_is_warned_of_with_what_was_seen(chats):
    built = build(chats, PRINTED)
    (line,) = [line for line in built.manifest.warnings if "roles.look_swapped" in line]
    assert line.startswith("s: its instructions look like answers: ")
    assert "are longer than their response" in line
    assert "Are the roles swapped?" in line
    counts = read_ledger(chats / "out")["sources"]["s"]
    assert counts["warnings"]["roles.look_swapped"] == counts["written"]
    assert counts["measures"]["roles/examples"] == counts["written"]
    # It warns; it does not swap.
    assert read_lines(chats / "out")[0]["instruction"] == ANSWERED[0]


def test_the_default_mapping_is_not(chats):
    built = build(chats)
    assert built.manifest.warnings == []
    assert "roles.look_swapped" not in read_ledger(chats / "out")["sources"]["s"]["warnings"]


def test_the_sums_are_the_same_at_any_cut(chats):
    def measures(**settings):
        source = "{name: s, files: [chats.json], format: sharegpt}"
        recipe = f"version: 1\nsources:\n  - {source}\nsteps: [roles]\n"
        merge(recipe, chats / "out", **settings)
        return read_ledger(chats / "out")["sources"]["s"]["measures"]

    assert measures(workers=1) == measures(workers=2, unit_bytes=700)


def test_each_source_is_judged_by_itself(chats):
    write_json(chats / "rows.json", [{"instruction": "1+1?", "output": "2"}] * 50)
    merge(
        "version: 1\nsources:\n"
        f"  - {{name: swapped, files: [chats.json], options: {PRINTED}}}\n"
        "  - {name: rows, files: [rows.json]}\n"
        "steps: [roles]\n",
        chats / "out",
    )
    sources = read_ledger(chats / "out")["sources"]
    assert [name for name in sources if sources[name]["warnings"].get("roles.look_swapped")] == [
        "swapped"
    ]


def test_a_few_examples_are_not_judged(tmp_path):
    turns = [{"from": "human", "value": ASKED[0]}, {"from": "gpt", "value": ANSWERED[0]}]
    write_json(tmp_path / "chats.json", [{"conversations": turns * 2}] * 19)
    assert build(tmp_path, PRINTED).manifest.warnings == []


def test_one_sign_alone_is_none():
    # Questions of a reading set are longer than their answers, and ask.
    step = roles.Step()
    counts = dict(zip(step.measures, (100, 99, 100, 5, 0, 3), strict=True))
    assert step.judge(counts) == []


@pytest.mark.parametrize(
    ("asked", "asked_back", "is_sure"),
    [(0, 100, True), (0, 75, True), (15, 75, True), (0, 74, False), (16, 75, False)],
)
def test_many_questions_are_enough_by_themselves(asked, asked_back, is_sure):
    step = roles.Step()
    counts = dict(zip(step.measures, (100, 0, asked, asked_back, 0, 0), strict=True))
    assert bool(step.judge(counts)) == is_sure
    for _, message, _ in step.judge(counts):
        assert message.startswith(f"its instructions look like answers: {asked_back}% of the resp")


REAL = (
    "alpaca_ko",
    "alpaca_en",
    "chat_misc",
    "dolly",
    "klue",
    "korquad1",
    "korquad2",
    "sharegpt",
    "squad",
)


def judged(path, options, swapped=False):
    """What the check says of a real file as these options read it, or the wrong way round."""
    step, found = roles.Step(), []
    for item in dollymix.inspect(path, 400):
        if item.detected is None or (options and "sharegpt" not in item.detected.shapes):
            continue
        sums = [0] * len(step.measures)
        for record in item.records:
            parsed = parse_record(item.detected.shapes, record.raw, ORIGIN, options)
            for example in parsed.examples:
                if swapped:
                    example = msgspec.structs.replace(
                        example, instruction=example.response, response=example.instruction
                    )
                sums = [a + b for a, b in zip(sums, step.measure(example), strict=True)]
        found += step.judge(dict(zip(step.measures, sums, strict=True)))
    return found


@pytest.mark.parametrize("folder", REAL)
def test_no_real_set_is_warned_of_as_it_is_mapped(shared, folder):
    for path in sorted((shared / "data" / folder).glob("*")):
        assert judged(path, {}) == [], path.name


@pytest.mark.parametrize(
    "name",
    [
        "fastchat_dummy_conversation.json",
        "lf_glaive_toolcall_en_demo.json",
        "sharegpt92k_sample_700.json",
        "vicuna_sample_230629.json",
    ],
)
def test_real_conversations_the_wrong_way_round_are(shared, name):
    printed = {"roles": {"instruction": ["gpt"], "response": ["human"]}}
    ((code, _, _),) = judged(shared / "data" / "sharegpt" / name, printed)
    assert code == "roles.look_swapped"


@pytest.mark.parametrize(
    "name",
    [
        "korquad1/KorQuAD_v1.0_dev.json",
        "korquad1/kqma_kor_v1_dev.json",
        "klue/klue-mrc-v1_train.json",
        "squad/adversarial_blobAddSent.json",
        "squad/haystack_small.jsonl",
        "alpaca_ko/ko_alpaca_data.12761.json",
        "alpaca_ko/vaiv_instructions_all.jsonl",
        "chat_misc/lf_lima.json",
    ],
)
def test_real_sets_with_question_and_answer_exchanged_are(shared, name):
    ((code, _, _),) = judged(shared / "data" / name, {}, swapped=True)
    assert code == "roles.look_swapped"
