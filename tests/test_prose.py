"""Letters by script, and what of a text is no prose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix.prose import _letters_by_run, letters, without_code


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("12 + 3 = !", {}),
        ("abc", {"latin": 3}),
        ("한글 abc é", {"hangul": 2, "latin": 4}),
        ("ㄱㄴ ᄇᆡ", {"hangul": 4}),
        ("漢字かな", {"han": 2, "kana": 2}),
        ("\uf98e", {"han": 1}),
        ("Привет", {"cyrillic": 6}),
        ("αβ", {"greek": 2}),
        ("שלום", {"hebrew": 4}),
        ("سلام", {"arabic": 4}),
        ("ไทย", {"thai": 3}),
        ("👩‍🚀 ① “”…", {}),
    ],
)
def test_letters_are_counted_by_script(text, found):
    assert letters(text) == found


@given(st.text())
def test_the_fast_count_is_the_exact_one(text):
    assert letters(text) == _letters_by_run(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("글", "글"),
        ("앞 ```py\nx = 1\n``` 뒤", "앞   뒤"),
        ("앞 ```open", "앞  "),
        ("`x` 글", "  글"),
        ("합 $$a+b$$ 글", "합   글"),
        (r"합 \(a+b\) \[c\] 글", "합     글"),
        (r"합 \(a+b 글", r"합 \(a+b 글"),
        ("$x_1$ 글 $5", "  글 $5"),
        ("<b>글</b> https://a.b/c 글", " 글    글"),
        ("import os\nx = f(y) == 3;\n글", "글"),
        ("def f(x):\n    return x\n    y = 1\n글이다.", "글이다."),
        ("제 이름은 {{name}}", "제 이름은 {{name}}"),
        ("{{이름}}", "{{이름}}"),
        ("이름: {{name}}\n회사: {{회사 이름}}", "이름: {{name}}\n회사: {{회사 이름}}"),
        ('x = {"a": {"b": 1}}\n글', "글"),
        ("return {{name}}\n글", "글"),
        ("font-size: {{size}};\n글", "글"),
        ("가격은 3,000원 (부가세 포함)이다.", "가격은 3,000원 (부가세 포함)이다."),
    ],
)
def test_code_formulas_markup_and_addresses_are_cut(text, left):
    assert without_code(text) == left


@given(st.text(alphabet=st.sampled_from("`$\\()[]<>{};=:한a \n\t/#")))
def test_any_text_is_read(text):
    assert len(without_code(text)) <= len(text) + text.count("`") + text.count("$") + text.count(
        "\\"
    )
