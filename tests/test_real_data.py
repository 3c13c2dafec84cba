"""Real files, where they lie beside the repository: what is read, and what is refused."""

import json

import pytest

import dollymix
from dollymix.recipe import StepSpec, from_paths
from tests.helpers import merge, read_ledger, read_lineage, read_lines, read_rejects

# Each file that is read: its parts and its examples.
READ = {
    "alpaca_en/alpaca_5000.json": (5000, 4998),
    "alpaca_en/axolotl_alpaca.json": (2, 2),
    "alpaca_en/axolotl_alpaca_fr_head.jsonl": (1000, 1000),
    "alpaca_en/dj_alpaca-cot_zh.jsonl": (50, 49),
    "alpaca_en/lf_alpaca_en_demo.json": (999, 999),
    "alpaca_en/lf_alpaca_zh_demo.json": (1000, 1000),
    "alpaca_en/lf_identity.json": (91, 91),
    "alpaca_en/litgpt_alpaca.json": (23, 23),
    "alpaca_en/torchtune_alpaca_tiny.json": (100, 100),
    "alpaca_en/unsloth_alpaca.json": (257, 38),
    "alpaca_ko/evolve_seed_data.json": (4, 4),
    "alpaca_ko/ko_alpaca_data.12761.json": (12761, 12760),
    "alpaca_ko/ko_alpaca_fork.Volume21.11432.json": (11432, 11431),
    "alpaca_ko/ko_alpaca_fork.inkyungil.1040.json": (1040, 1040),
    "alpaca_ko/ko_alpaca_mixed_keys.1395.json": (1395, 1395),
    "alpaca_ko/ko_alpaca_mixed_keys.991.json": (991, 991),
    "alpaca_ko/ttangho_train_koalpaca.crlf.jsonl": (622, 622),
    "alpaca_ko/vaiv_instructions_all.jsonl": (2461, 2458),
    "chat_misc/lf_lima.json": (1029, 1029),
    "chat_misc/lf_oaast_sft_zh.json": (766, 766),
    "chat_misc/oumi_alpaca_format.json": (2, 2),
    "chat_misc/oumi_alpaca_format.jsonl": (2, 2),
    "chat_misc/swift_alpaca.csv": (3, 3),
    "chat_misc/swift_alpaca.jsonl": (3, 3),
    "chat_misc/swift_alpaca2.csv": (3, 3),
    "chat_misc/swift_conversations.jsonl": (11, 5),
    "chat_misc/swift_sharegpt.jsonl": (10, 5),
    "chat_misc/xtuner_mllm_sft_text.jsonl": (628, 314),
    "dolly/litgpt_dolly_12.json": (12, 12),
    "dolly/litgpt_dolly_12.jsonl": (12, 12),
    "klue/klue-mrc-v1_train.json": (142, 97),
    "korquad1/KorQuAD_v1.0_dev.json": (5774, 5774),
    "korquad1/hf_dummy_KorQuAD_v1.0_dev.json": (133, 133),
    "korquad1/hf_dummy_KorQuAD_v1.0_train.json": (142, 142),
    "korquad1/kqma_kor_v1_dev.json": (201, 197),
    "korquad2/korquad2.1_train_00.first2.json": (2, 2),
    "korquad2/korquad2.1_train_doc7777_partial.json": (2, 2),
    "seed_samples/alpaca_canada.json": (1, 1),
    "seed_samples/korquad1_date_kimiko.json": (1, 1),
    "seed_samples/korquad2_yegobeom.data_as_object.json": (1, 1),
    "seed_samples/korquad2_yegobeom.json": (1, 1),
    "seed_samples/kovicuna_QWJhYvA_0.json": (12, 6),
    "sharegpt/axolotl_conversation.json": (12, 6),
    "sharegpt/axolotl_conversation.missingturns.json": (12, 5),
    "sharegpt/common_zh_sample_230805.jsonl.json": (28, 14),
    "sharegpt/fastchat_dummy_conversation.json": (2000, 1000),
    "sharegpt/ko_sharegpt_deepl_pairs_v1.json": (987, 987),
    "sharegpt/lf_glaive_toolcall_en_demo.json": (1914, 535),
    "sharegpt/sharegpt92k_enriched_0fXaWSr_0.json": (66, 33),
    "sharegpt/sharegpt92k_enriched_gIYtTfa_10.json": (56, 28),
    "sharegpt/sharegpt92k_sample_700.json": (5230, 2491),
    "sharegpt/vicuna_sample_230629.json": (472, 236),
    "squad/adversarial_blobAddSent.json": (373, 373),
    "squad/allennlp_quac.json": (12, 12),
    "squad/allennlp_squad.json": (5, 5),
    "squad/haystack_small.jsonl": (626, 293),
    "squad/xquad.en.json": (4, 4),
    "squad/xquad.zh.json": (2, 2),
}
# Each file that is refused: the reason.
REFUSED = {
    "alpaca_ko/boostcamp_dataset_val.csv": "format.unknown",
    "alpaca_ko/evolve_article_base.c9b2.json": "format.unknown",
    "alpaca_ko/evolve_base_instuction.jsonl": "format.unknown",
    "alpaca_ko/hrc_counsel.jsonl.json": "format.unknown",
    "alpaca_ko/hrc_humane_right_corpus_v1.jsonl.json": "format.unknown",
    "alpaca_ko/kakao_band.csv": "format.unknown",
    "alpaca_ko/kochatgpt_1_SFT_conversation.jsonl": "format.unknown",
    "alpaca_ko/kochatgpt_3_PPO.jsonl": "format.unknown",
    "alpaca_ko/kullm_user_oriented_instructions_eval.jsonl": "format.unknown",
    "alpaca_ko/songys_ChatbotData.csv": "format.unknown",
    "alpaca_ko/ttangho_train_0.json": "format.unknown",
    "alpaca_ko/ttangho_train_1.json": "format.unknown",
    "alpaca_ko/vaiv_selected_by_topic.json": "schema.top_level",
    "chat_misc/belle_eval_prompt.nan.json": "format.unknown",
    "chat_misc/dj_demo-dataset-chatml.jsonl": "format.unknown",
    "chat_misc/moss_mix_plugin_conversation_27.json": "schema.top_level",
    "chat_misc/moss_mix_plugin_conversation_44.json": "schema.top_level",
    "chat_misc/oasst_en_100_tree.jsonl": "format.unknown",
    "chat_misc/oumi_oumi_format.json": "format.unknown",
    "chat_misc/oumi_oumi_format.jsonl": "format.unknown",
    "chat_misc/oumi_sample_conversations.json": "format.unknown",
    "chat_misc/swift_chatml.jsonl": "format.unknown",
    "chat_misc/swift_multi_modal_1.jsonl": "format.unknown",
    "chat_misc/swift_multi_modal_2.jsonl": "format.unknown",
    "chat_misc/swift_multi_modal_3.jsonl": "format.unknown",
    "chat_misc/swift_swift_multi.json": "format.unknown",
    "chat_misc/swift_swift_multi.jsonl": "format.unknown",
    "chat_misc/swift_swift_pre.jsonl": "format.unknown",
    "chat_misc/swift_swift_single.csv": "format.unknown",
    "chat_misc/swift_swift_single.jsonl": "format.unknown",
    "chat_misc/tulu_sft_sample.jsonl": "format.unknown",
    "dolly/triforce_dolly_prompt_answer.jsonl": "format.unknown",
    "korquad2/inyeongkim_dev_qa_pairs.jsonl": "format.unknown",
    "korquad2/jskyu_korquad2_dev_prompts.json": "format.unknown",
    "korquad2/korquad2.1_train_00.data4_qas_only.json": "format.unknown",
    "korquad2/sample_prediction_2.0.json": "schema.top_level",
    "peer_tests/expectations.jsonl": "format.unknown",
    "pref_tool/tulu_preference_sample.jsonl": "format.unknown",
    "pref_tool/vaiv_step2_translation_train.json": "format.unknown",
    "sharegpt/lf_kto_en_demo.json": "format.unknown",
    "sharegpt/lf_mllm_demo.json": "format.unknown",
    "sharegpt/lf_reason_tool_use_demo_50.jsonl": "format.unknown",
    "sharegpt/lf_v1_dpo_demo.jsonl": "format.unknown",
    "sharegpt/lf_v1_sft_demo.jsonl": "format.unknown",
}
# Files of a known format in which no record makes an example: the reason of their rejects.
NOTHING_LEFT = {"squad/haystack_tiny_augmented.json": "schema.no_answer"}
# What lies among the files and is no data set.
NO_DATA = {"manifest.jsonl"}


def build(folder, names, output, **settings):
    return merge([folder / name for name in names], output, **settings)


def distinct(folder, names, output):
    """A build of the files without exact duplicates."""
    paths = [folder / name for name in names]
    return merge(from_paths(paths, steps=[StepSpec("exact_duplicates")]), output)


@pytest.fixture(scope="module")
def data(shared):
    return shared / "data"


def test_every_file_is_named_here(data):
    found = {
        path.relative_to(data).as_posix()
        for kind in ("json", "jsonl", "csv")
        for path in data.rglob(f"*.{kind}")
    }
    assert found - NO_DATA == {*READ, *REFUSED, *NOTHING_LEFT}


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read_and_its_books_balance(data, tmp_path, name):
    counts = build(data, [name], tmp_path / "out").ledger.total()
    assert (counts.parts, counts.examples) == READ[name]
    assert counts.examples > 0
    assert counts.records == counts.with_examples + counts.only_rejected + counts.empty
    assert counts.parts == counts.parts_used + counts.parts_rejected
    rejects = read_rejects(tmp_path / "out")
    assert len(rejects) == sum(counts.rejected.values())
    lines = read_lines(tmp_path / "out")
    assert len(lines) == counts.examples == len(read_lineage(tmp_path / "out"))
    assert all(line["instruction"].strip() and line["response"].strip() for line in lines)


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_in_one_line_with_its_name_and_the_reason(data, tmp_path, name):
    with pytest.raises(dollymix.InputError) as refused:
        build(data, [name], tmp_path / "out")
    said = str(refused.value)
    assert len(said.splitlines()) == 1
    assert name.rpartition("/")[2] in said
    assert f"[{REFUSED[name]}]" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NOTHING_LEFT)
def test_a_file_without_an_example_publishes_nothing_unless_allowed(data, tmp_path, name):
    with pytest.raises(dollymix.BuildError) as stopped:
        build(data, [name], tmp_path / "out")
    assert len(str(stopped.value).splitlines()) == 1
    assert NOTHING_LEFT[name] in str(stopped.value)
    assert not (tmp_path / "out").exists()
    counts = build(data, [name], tmp_path / "out", allow_empty=True).ledger.total()
    assert set(counts.rejected) == {NOTHING_LEFT[name]}


def test_korquad1_dev_has_nine_repeats(data, tmp_path):
    counts = distinct(data, ["korquad1/KorQuAD_v1.0_dev.json"], tmp_path / "out").ledger.total()
    assert (counts.records, counts.parts, counts.examples) == (140, 5774, 5774)
    assert (counts.written, counts.rejected, counts.warnings) == (5765, {}, {})


def test_korean_alpaca_has_one_empty_output(data, tmp_path):
    built = build(data, ["alpaca_ko/ko_alpaca_data.12761.json"], tmp_path / "out")
    counts = built.ledger.total()
    assert (counts.parts, counts.examples, counts.rejected) == (12761, 12760, {"schema.empty": 1})


def test_the_forks_of_korean_alpaca_hold_hardly_anything_new(data, tmp_path):
    names = ["data.12761", "fork.Volume21.11432", "fork.inkyungil.1040"]
    files = [f"alpaca_ko/ko_alpaca_{name}.json" for name in names]
    counts = distinct(data, files, tmp_path / "out").ledger.total()
    assert (counts.examples, sum(counts.rejected.values())) == (25231, 2)
    assert counts.written == 12773


def test_sharegpt_is_paired_as_counted_by_hand(data, tmp_path):
    name = "sharegpt/sharegpt92k_sample_700.json"
    counts = build(data, [name], tmp_path / "out").ledger.total()
    # Of 2,495 pairs 4 have an empty side; in 8 the answer is U+200B alone, kept and flagged.
    assert counts.examples == 2495 - 4 == 2491
    assert counts.rejected == {"schema.empty": 4, "turn.unpaired": 239}
    assert counts.warnings["text.invisible"] == 8
    systems = 1
    assert (counts.parts, counts.parts_used) == (5230, 2 * counts.examples + systems)


def test_json_and_json_lines_of_the_same_records_give_the_same_set(data, tmp_path):
    for kind in ("json", "jsonl"):
        build(data, [f"dolly/litgpt_dolly_12.{kind}"], tmp_path / kind)
    assert read_lines(tmp_path / "json") == read_lines(tmp_path / "jsonl")
    given = json.loads((data / "dolly/litgpt_dolly_12.json").read_bytes())
    assert [[*line] for line in read_lines(tmp_path / "json")] == [
        ["instruction", "context", "response", "category"]
    ] * len(given)
    assert read_lines(tmp_path / "json") == [
        {key: record[key] for key in ("instruction", "context", "response", "category")}
        for record in given
    ]


# --- the samples of the founding log -----------------------------------------------------------


def seed(data, tmp_path, name):
    """The records of a sample, the formats it was found to have, and its Dolly lines."""
    path = data / "seed_samples" / name
    build(data, [f"seed_samples/{name}"], tmp_path / "out")
    (seen,) = dollymix.inspect(path)
    return json.loads(path.read_bytes()), seen.detected.shapes, read_lines(tmp_path / "out")


def line(instruction, context, response):
    return {
        "instruction": instruction,
        "context": context,
        "response": response,
        "category": "open_qa",
    }


def test_the_logs_alpaca_row_is_mapped_as_the_log_says(data, tmp_path):
    (row,), shapes, lines = seed(data, tmp_path, "alpaca_canada.json")
    assert shapes == ("alpaca",)
    assert lines == [line(row["instruction"], row["input"], row["output"])]


def test_the_logs_korquad1_record_is_mapped_as_the_log_says(data, tmp_path):
    document, shapes, lines = seed(data, tmp_path, "korquad1_date_kimiko.json")
    paragraph = document["data"][0]["paragraphs"][0]
    (asked,) = paragraph["qas"]
    assert shapes == ("squad",)
    assert lines == [line(asked["question"], paragraph["context"], asked["answers"][0]["text"])]


@pytest.mark.parametrize(
    "name", ["korquad2_yegobeom.json", "korquad2_yegobeom.data_as_object.json"]
)
def test_the_logs_korquad2_page_is_mapped_as_the_log_says(data, tmp_path, name):
    document, shapes, lines = seed(data, tmp_path, name)
    page = document["data"]
    page = page[0] if isinstance(page, list) else page
    (asked,) = page["qas"]
    assert shapes == ("korquad2",)
    assert lines == [line(asked["question"], page["context"], asked["answer"]["text"])]


def test_the_logs_conversation_gives_six_pairs(data, tmp_path):
    found, shapes, lines = seed(data, tmp_path, "kovicuna_QWJhYvA_0.json")
    (record,) = found if isinstance(found, list) else [found]
    turns = [turn["value"] for turn in record["conversations"]]
    assert shapes == ("sharegpt",)
    assert lines == [line(q, "", a) for q, a in zip(turns[::2], turns[1::2], strict=True)]
    assert len(lines) == 6


def test_the_mapping_as_printed_in_the_log_can_be_asked_for_and_is_reported(data, tmp_path):
    recipe = f"""
version: 1
sources:
  - name: kovicuna
    files: [{json.dumps(str(data / "seed_samples/kovicuna_QWJhYvA_0.json"))}]
    format: sharegpt
    options: {{roles: {{instruction: [gpt], response: [human]}}}}
"""
    merge(recipe, tmp_path / "out")
    lines = read_lines(tmp_path / "out")
    found = json.loads((data / "seed_samples/kovicuna_QWJhYvA_0.json").read_bytes())
    (record,) = found if isinstance(found, list) else [found]
    turns = [turn["value"] for turn in record["conversations"]]
    assert lines == [line(a, "", q) for a, q in zip(turns[1:-1:2], turns[2::2], strict=True)]
    counts = read_ledger(tmp_path / "out")["total"]
    assert counts["warnings"]["chat.roles_swapped"] == len(lines) == 5
