"""Numbers and addresses of persons: all of these are made up."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix.example import Example, Message
from dollymix.rewrite import texts
from dollymix.steps.personal_data import Step, _found
from tests.helpers import (
    ORIGIN,
    all_files,
    merge,
    read_dropped,
    read_ledger,
    read_lineage,
    read_lines,
    write_lines,
)

EVERY = frozenset(Step().kinds)


def resident(front, back, offset=11):
    """A number with its last digit."""
    digits = front + back
    weighted = sum(int(digit) * (2 + at % 8) for at, digit in enumerate(digits))
    return f"{front}-{back}{(offset - weighted % 11) % 10}"


SPELLINGS = (
    "+82.10.1234.5678", "(82)10-1234-5678", "(82) 10-1234-5678", "+82)10-1234-5678",
    "010·1234·5678", "010ㆍ1234ㆍ5678", "02·123·4567", "010. 1234. 5678", "010/1234/5678",
    "010  1234  5678", "010  1234-5678", "(02)  123-4567", "(031)1234567", "(02)12345678",
    "02 123 4567",
)  # fmt: skip
FOUND = [
    (resident("900101", "123456"), "resident"),
    (resident("000229", "412345"), "resident"),
    (resident("900101", "123456").replace("-", ""), "resident"),
    (resident("900101", "123456").replace("-", " - "), "resident"),
    ("210305-3123456", "resident"),
    ("301231-4123456", "resident"),
    *(
        (resident("900101", "123456").replace("-", between), "resident")
        for between in (" ", "–", "‑", "－", " – ")
    ),
    ("９００１０１－１２３４５６８", "resident"),
    (resident("850712", "512345", 13), "foreigner"),
    ("220-81-62517", "business"),
    ("010-1234-5678", "phone"),
    ("01012345678", "phone"),
    ("010 1234 5678", "phone"),
    ("011-123-4567", "phone"),
    ("(010)1234-5678", "phone"),
    ("(010) 1234-5678", "phone"),
    ("010)1234-5678", "phone"),
    ("010 - 1234 - 5678", "phone"),
    ("010-1234 5678", "phone"),
    ("010-12345678", "phone"),
    ("010.1234.5678", "phone"),
    *((text, "phone") for text in SPELLINGS),
    ("010–1234–5678", "phone"),
    ("010—1234—5678", "phone"),
    ("010~1234~5678", "phone"),
    ("０２～１２３～４５６７", "phone"),
    ("02-2024-0101", "phone"),
    ("02-20241301", "phone"),
    ("010\xa01234\xa05678", "phone"),
    ("０１０－１２３４－５６７８", "phone"),
    ("０１０１２３４５６７８", "phone"),
    ("（０２）１２３－４５６７", "phone"),
    ("82-10-1234-5678", "phone"),
    ("821012345678", "phone"),
    ("0082-10-1234-5678", "phone"),
    ("021234567", "phone"),
    ("0212345678", "phone"),
    ("02-123-4567", "phone"),
    ("02 – 123 – 4567", "phone"),
    ("(031) 123-4567", "phone"),
    ("070-1234-5678", "phone"),
    ("+82-10-1234-5678", "phone"),
    ("+82 (0)2 123 4567", "phone"),
    ("+1 (555) 010-4477", "phone"),
    ("+15550104477", "phone"),
    ("+33 1 23 45 67 89", "phone"),
    ("+44 (0)20 7946 0958", "phone"),
    ("+39 06 1234 5678", "phone"),
    ("+91\xa012345\xa067890", "phone"),
    ("+91 1234567890", "phone"),
    ("(+82) 10-1234-5678", "phone"),
    ("+82 (10) 1234-5678", "phone"),
    ("82-2-123-4567", "phone"),
    ("02-1234567", "phone"),
    ("031)2345678", "phone"),
    ("4111 1111 1111 1111", "card"),
    ("4111-1111-1111-1111", "card"),
    ("4111111111111111", "card"),
    ("3782 822463 10005", "card"),
    ("hong.gildong+a@mail.co.kr", "email"),
    ("hong_1@sub.mail.com", "email"),
    ("éric@mail.com", "email"),
    ("o'brien@mail.com", "email"),
    ("홍길동@mail.com", "email"),
    ("kim@한국.kr", "email"),
    ("kim@이름.한국", "email"),
    ("kim@xn--ab1cd2e.xn--3e0b707e", "email"),
    ("kim@münchen.de", "email"),
    ("KIM@MAIL.COM", "email"),
    ("kim@mail.pl", "email"),
    ("kim@mail.com.rs", "email"),
    ("kim@mail.io", "email"),
    ("kim@mail.shop", "email"),
    ("kim@mail.com@mail.net", "email"),
    ("kim＠mail.com", "email"),
    ("93.184.216.34", "ip"),
    ("211.234.5.6", "ip"),
    ("34.64.0.0", "ip"),
    ("2606:2800:220:1:248:1893:25c8:1946", "ip"),
]
PASSED = [
    "2019-03-31 12:30:45", "1,234,567,890원", "900101-1234560", "901301-1234567", "123-45-67890",
    "4111 1111 1111 1112", "1111 1111 1111 1111", "192.168.0.1", "127.0.0.1", "10.0.0.1",
    "1.2.3.4", "version 91.10.44.12", "§15.12.2.7", "999.10.10.10", "std::vector<int>", "a::b",
    "user@example.com", "@handle", "a@b", "f(x) @ g(y)", "3.14159265358979",
    "ISBN 979-11-6254-123-4", "1588-1234", "12345678901234567890",
    "0.1234567890123456", "abc0101234567890def",
    "+100 200 300", "+5 10 20 30 40", "+345 678 901", "+1000000000", "+1 100 200 3000",
    "1,016.0469088 kg", "016.0469088", "제2010–1234–5678호", "900101 1234560",
    "９００１０１－１２３４５６０",
    "ISBN 0262033844", "ISBN-10: 0201896834", "0201896834", "amazon.com/dp/0262033844",
    "8.8.8.8", "1.1.1.1", "Chrome/114.0.0.0", "lib==21.10.44.12", "libfoo-21.10.44.12",
    "image@2x.png", "pkg@1.2.3.tgz", "vue@next.js", "git@github.com:user/repo.git",
    "https://user:pw@host.com/", "@property.setter", "data@property.setter", "3.02-123-4567",
    "그림 112.33.44.11", "제 113.45.12.21 절", "firmware 102.15.33.22", "driver: 101.22.33.4",
    "x010-1234-5678", "AT02-123-4567", "item-02-1234567", "2-1234567", "002-1234567",
    "1612345678901", "0x4111111111111111", "제2010-1234-5678901호",
    "this@MainActivity.applicationContext", "this@LoginFragment.requireContext()", "this@Main.name",
    "super@Base.method", "return@forEach.let", "y = x@w.transpose()", "q@k.transpose(-2,-1)",
    "q@k.to(device)", "q@k.to_dense()", "q@k.at[0]", "a@b.shape", "a@b.py", "kim@mail.sh",
    "icon@2x.pdf",
    "lodash@npm.latest", "lodash@1.2.3.min", "ssh://root@host.com/x", "ftp://kim@host.co.kr",
    "https://kim:p&w@host.com:80/", "https://kim:p@ss@host.com",
    '다음@app.route("/")', "위에@pytest.fixture를",
    "user@www.example.co.kr", "kim@mail.xx",
    "02-20240101", "(031-20231231)", "No.02-2023-0012", "Vol.02-2023-0012", "ver.02.123.4567",
    "lib.010.1234.5678", ".0212345678", "수 .0212345678", "EIN 02-1234567", "EIN: 02-1234567",
    "제031-1234567호", "CHP010-1234-5678", "ISBN 10: 0262033844", "ISBN10 0262033844",
    "ISBN(10) 0262033844", "ISBN (10): 0262033844", "ISBN(0262033844)", "책 번호 0262033844",
    "UPC 821012345678", "버전 02.123.4567", "version 02.123.4567",
    "34.64.0.0/10", "157.240.0.0/16 대역", "8.8.4.0/24", "211.234.100.4/30", "2606:2800:220:1::/64",
    "113.45.1.2절", "제113.45.1.2호", "build #105.3.2.11", "firmware 102.15.3.22",
    "subsection 102.15.3.22",
    "q@k.mT", "(q@k.mH)", "y = w@x.id", "w@x.name.lower()", "self@attr.name", "cls@model.info",
    "1 02 123 4567 890", "5 12 02 123 4567", "02 123 4567 890 12", "v1/010/1234/5678",
    "010/1234/5678/9", "a_010-1234-5678", "010-1234-5678_b", "a__010-1234-5678", "1/2/3 4/5/6 7/8",
    "391231-4123456", "310101-3123456", resident("350101", "312345"),
]  # fmt: skip


def example(response="답", context="", **more):
    return Example(instruction="질문", context=context, response=response, origin=ORIGIN, **more)


@pytest.mark.parametrize(("text", "kind"), FOUND)
@pytest.mark.parametrize(
    "around", ["{}", "연락처는 {}입니다.", "({})", "<b>{}</b>", "a {}, b", "{}\n"]
)
def test_it_is_found_whole(around, text, kind):
    whole = around.format(text)
    (hit,) = _found(whole, EVERY)
    assert (whole[hit.start : hit.end].strip("("), hit.kind) == (text.strip("("), kind)


@pytest.mark.parametrize(
    "around",
    [
        "http://{}/x",
        "IP={}",
        "VIP{}",
        "- {}",
        "IP/{}",
        "(접속 {})",
        "host {}:53",
        "～{}",
        "주소:{}",
        "ip{}",
        "rebuild {}",
        "timetable {}",
        "{}/24",
        "{}/32",
        "{}호스트",
    ],
)
def test_an_address_is_found_wherever_it_stands(around):
    whole = around.format("211.234.100.5")
    made = Step(action="mask")(example(whole))
    assert made.response == around.format("[IP]")


def test_a_mask_stands_where_the_number_stood():
    given = (
        "① ０１０‑１２３４‑５６７８（집）, （０３１）１２３－４５６７, ９００１０１ １２３４５６８"
    )
    made = Step(action="mask")(example(given)).response
    assert made == "① [PHONE]（집）, [PHONE], [RESIDENT_NUMBER]"


@pytest.mark.parametrize(
    "before",
    [
        "Tel.",
        "tel",
        "T",
        "T.",
        "HP.",
        "H.P.",
        "M.",
        "휴대폰.",
        "연락처.",
        "전화.",
        "fax",
        "FAX",
        "mobile",
        "phone",
        "cellphone",
        "Phone No.",
        "Ph.",
        "C.P.",
        "Mob.",
        "Contact.",
        "핸드폰",
        "t.",
        "(주).",
        "전화...",
        "Kim—",
        "제 ",
        "driver ",
        "02 ",
        "문의:",
        "☎",
    ],
)
@pytest.mark.parametrize(
    "number", ["02-123-4567", "010-1234-5678", "031-123-4567", "01012345678", "010.1234.5678"]
)
def test_a_number_is_found_behind_what_it_is_called(before, number):
    assert Step(action="mask")(example(f"{before}{number}")).response == f"{before}[PHONE]"


def test_the_word_before_an_address_is_not_masked():
    made = Step(action="mask")(example("이메일kim@mail.com, IP211.234.100.5, 'lee@mail.com'이다"))
    assert made.response == "이메일[EMAIL], IP[IP], '[EMAIL]'이다"
    made = Step(action="mask")(example("https://a.com/?to=kim@mail.com"))
    assert made.response == "https://a.com/?to=[EMAIL]"


@pytest.mark.parametrize(
    "around",
    [
        "{}입니다.Next",
        "{}.Next",
        "{}.다음은",
        "{}(김철수)",
        "{}(home)",
        "{}-이다",
        "b'{}'",
        "메일'{}'이다",
        "‘{}’",
        "http://mail.com,이메일:{}",
        "http://mail.com&to={}",
        "https://lee:pw@mail.com,{}",
        "mailto://{}",
    ],
)
def test_what_touches_an_address_stays(around):
    made = Step(action="mask")(example(around.format("kim@mail.com")))
    assert made.response == around.format("[EMAIL]")


def test_a_remark_may_touch_the_address_of_a_country():
    made = Step(action="mask")(
        example("kim@mail.co.uk(home), lee@mail.ch(집), kim@mail.com.py, **a@b.io**")
    )
    assert made.response == "[EMAIL](home), [EMAIL](집), [EMAIL].py, **[EMAIL]**"


@pytest.mark.parametrize("number", ["010-1234-5678", "02 123 4567", "+82-10-1234-5678"])
def test_emphasis_is_no_part_of_a_number(number):
    made = Step(action="mask")(example(f"_{number}_, __{number}__, (_{number}_), **_{number}_**"))
    assert made.response == "_[PHONE]_, __[PHONE]__, (_[PHONE]_), **_[PHONE]_**"


def test_numbers_with_blanks_are_found_beside_each_other():
    made = Step(action="mask")(example("02 123 4567 02 234 5678, 010 1234 5678 010 2345 6789 1"))
    assert made.response == "[PHONE] [PHONE], [PHONE] [PHONE] 1"


@pytest.mark.parametrize("around", ["N'{}'", "E'{}'", "n'{}'", "X'{}'", "u'{}'"])
def test_a_letter_before_a_quote_is_no_part_of_an_address(around):
    made = Step(action="mask")(example(around.format("kim@mail.com")))
    assert made.response == around.format("[EMAIL]")


def test_addresses_without_anything_between_are_masked():
    made = Step(action="mask")(example("kim@mail.comlee@mail.net, a@b.comc@d.come@f.org"))
    assert made.response == "[EMAIL], [EMAIL]"


def test_numbers_of_a_list_are_all_found():
    numbers = ("010-1234-5678", "02-123-4567", "+82-10-1234-5678", "211.234.100.5")
    for between in (",", ", ", "/", ";", "·", "\n"):
        made = Step(action="mask")(example(between.join(numbers))).response
        assert made == between.join(["[PHONE]"] * 3 + ["[IP]"])


def test_a_bracket_stays_with_what_it_opened():
    made = Step(action="mask")(example("(집 02-123-4567) (02-123-4567) ((02)123-4567)")).response
    assert made == "(집 [PHONE]) ([PHONE]) ([PHONE])"


@pytest.mark.parametrize("text", PASSED)
def test_another_number_is_not(text):
    assert _found(text, EVERY) == []
    given = example(text, text)
    assert Step(action="mask")(given) is given


def test_a_flag_is_added_once_for_each_kind():
    given = example("010-1234-5678, a@mail.com, b@mail.com", flags=("x.y",))
    made = Step()(given)
    assert made.flags == ("x.y", "personal_data.email", "personal_data.phone")
    assert made == msgspec.structs.replace(given, flags=made.flags)


def test_what_is_found_is_masked_everywhere():
    given = Example(
        instruction="내 번호는 010-1234-5678",
        context="a@mail.com",
        response="93.184.216.34",
        system="4111 1111 1111 1111",
        history=(Message("user", "b@mail.com에게"),),
        origin=ORIGIN,
    )
    made = Step(action="mask")(given)
    masked = [text for _, text in texts(made)]
    assert masked == ["내 번호는 [PHONE]", "[EMAIL]", "[IP]", "[CARD]", "[EMAIL]에게"]
    assert made.flags == tuple(f"personal_data.{kind}" for kind in ("card", "email", "ip", "phone"))


def test_the_place_of_the_answer_is_carried_past_a_mask():
    context = "전화 010-1234-5678, 이름은 홍길동"
    made = Step(action="mask")(example("홍길동", context, answer_start=context.index("홍")))
    assert made.context[made.answer_start :] == "홍길동"
    masked = Step(action="mask")(example("010-1234-5678", context, answer_start=3))
    assert (masked.answer_start, masked.response) == (3, "[PHONE]")
    torn = Step(action="mask")(example("1234", context, answer_start=context.index("1234")))
    assert torn.answer_start is None
    assert torn.flags == ("qa.answer_start_lost", "personal_data.phone")


@pytest.mark.parametrize(("text", "kind"), FOUND)
def test_a_verdict_names_the_kind_and_not_the_data(text, kind):
    verdict = Step(action="drop")(example(text))
    assert (verdict.outcome, verdict.reason) == ("filtered", f"personal_data.{kind}")
    assert text not in verdict.message


def test_kinds_are_chosen():
    given = example("010-1234-5678, a@mail.com")
    assert Step(kinds=("ip",))(given) is given
    assert Step(kinds=("email",))(given).flags == ("personal_data.email",)


PIECES = st.lists(
    st.one_of(
        st.sampled_from([text for text, _ in FOUND]),
        st.sampled_from(["-", " ", "a", "1", "가", ".", "@", ":", "+", "(", ")", "\n", "１", "–"]),
        st.text(alphabet="0123456789-. @a", max_size=20),
    )
).map("".join)


@given(PIECES)
def test_a_mask_leaves_nothing_behind(text):
    made = Step(action="mask")(example(text))
    assert _found(made.response, EVERY) == []
    assert Step(action="mask")(made) == made


@given(PIECES | st.text())
def test_hits_stand_apart_in_any_text(text):
    hits = _found(text, EVERY)
    assert all(0 <= hit.start < hit.end <= len(text) for hit in hits)
    assert all(a.end <= b.start for a, b in pairwise(hits))


@pytest.mark.parametrize(
    "bait",
    [
        "1",
        "a@",
        "@",
        "a",
        "1-",
        "1.",
        "010-1234-5678",
        "０",
        "０–",
        "+91 12 ",
        "00",
        "a@b.",
        "1 ",
        "2001:",
        "+",
        "1.1.1.1.",
        "a@a.com",
        "@가.",
        "://a",
        "1~",
        "34.64.0.0/10 ",
        "((1",
        "/1",
        "·1",
        "a@a.comb",
        "02 123 4567 ",
        "_0",
        "-",
    ],
)
@pytest.mark.parametrize("action", ["flag", "mask"])
def test_long_baits_take_no_time(action, bait):
    Step(action=action)(example(bait * (100_000 // len(bait))))


def build(place, action):
    """A build of two rows, of which the first holds a number."""
    write_lines(
        place / "a.json",
        [{"instruction": "번호?", "output": "010-1234-5678"}, {"instruction": "b", "output": "o"}],
    )
    source = "version: 1\nsources: [{name: a, files: [a.json]}]\n"
    merge(f"{source}steps: [{{personal_data: {{action: {action}}}}}]\n", place / "out")


def test_a_masked_number_is_nowhere_in_the_build(tmp_path):
    build(tmp_path, "mask")
    assert [line["response"] for line in read_lines(tmp_path / "out")] == ["[PHONE]", "o"]
    assert read_lineage(tmp_path / "out")[0]["flags"] == ["personal_data.phone"]
    assert read_ledger(tmp_path / "out")["total"]["warnings"] == {"personal_data.phone": 1}
    assert not any(b"1234-5678" in data for data in all_files(tmp_path / "out").values())


def test_what_is_dropped_is_told_without_its_data(tmp_path):
    build(tmp_path, "drop")
    (row,) = read_dropped(tmp_path / "out")
    assert (row["reason"], row["message"]) == (
        "personal_data.phone",
        "`response` holds a phone number",
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [({"kinds": []}, "length >= 1")],
)
def test_options_that_would_do_nothing_or_take_all_are_refused(options, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(options, Step)
