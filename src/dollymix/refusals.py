"""Whether an answer refuses, or a model speaks of itself in it, told by its first words.

Knows texts alone, no examples and no steps. Changes nothing.
"""

from __future__ import annotations

import re

from dollymix.text import holds_any

# So much is looked at, without blanks and marks that open a quotation.
_SEEN = 300
_OPENERS = " \t\r\n\u00a0\u3000\"'“”‘’「『*>"

_I_CANNOT = (
    "I(?: cannot| can['’]t| can not| won['’]t| will not|(?:['’]m| am) (?:unable|not able) to)"
)
_APOLOGISE = (
    "(?:I(?:['’]m| am) (?:so |very |really |truly )?sorry|Sorry|I apologi[sz]e|(?:My )?apologies"
    "|Unfortunately|Regrettably|I(?:['’]m| am) afraid)[,.;:]? "
)
_SORRY = f"{_APOLOGISE}(?:but )?"
_HELP = (
    "(?:fulfil+|comply with|assist(?: you)?(?: with)?|help(?: you)?(?: with)?|complete|answer"
    "|provide)"
)
_MAKE = "(?:write|create|generate|produce|draft|compose)"
_DO = (
    "(?:do|access|browse|open|view|retrieve|find (?:any|information)|give|offer|discuss|engage"
    "|share|recommend|process|perform|tell|respond|predict|support|condone|continue|display|draw"
    "|translate|search|verify|confirm|summari[sz]e|determine|identify|analy[sz]e)"
)
# What persons say to each other that they cannot do.
_AMONG_PERSONS = (
    "(?:accept|afford|attend|be there|believe|come|drink|eat|forgive|go|hear|join|keep|leave|love"
    "|make it|marry|meet|pay|remember|see you|sleep|stand|stay|talk|wait)"
)
_SUCH = "(?:that|this|your|such|any)"
_WRITINGS = "(?:e-?mail|letter|message|story|speech|dialogue?|script|review|post|article)"
_ENGLISH_REFUSES = re.compile(
    rf"(?i){_SORRY}{_I_CANNOT}(?: \w{{2,12}}ly)? (?:{_HELP}|{_MAKE}|{_DO})\b"
    rf"|{_APOLOGISE}but {_I_CANNOT}\b(?! {_AMONG_PERSONS}\b)"
    rf"|{_I_CANNOT} (?:{_HELP}|{_MAKE}) {_SUCH}\b"
    rf"|{_I_CANNOT} (?:assist|help)(?: you)? with\b"
    rf"|{_I_CANNOT} (?:provide|give|offer)(?: you(?: with)?)?"
    r" (?:ways|information|instructions|advice|guidance|content|details|assistance)\b"
    rf"|{_I_CANNOT} {_MAKE} (?:an?|the) [^.\n]{{0,30}}{_WRITINGS}\b"
    rf"|(?:{_SORRY})?I (?:do not|don['’]t) have access to (?:real-time|current|live"
    r"|external|the web|the internet|personal|up-to-date)\b"
)
_ENGLISH_BEGINS = frozenset("ISUMARisumar")

# 않을 수 없다 ("could not but") refuses nothing, nor does 수 없었다; 미안하다는 말 is no apology.
_APOLOGY = "(?:죄송|미안)(?!하다)"
_CANNOT = "수[는가도]? ?없(?:습니다|어요|네요)"
_HARD = "기(?:가|는)? ?(?:어렵|힘들|곤란)"
_ANSWER = "(?:답변|대답|응답|응|도와|도움)"
_SERVE = f"(?:{_ANSWER}|제공|처리|수행|협조)"
_MAKE_KOREAN = "(?:작성|생성|작곡|제작|출력|번역|요약|추천|안내|말씀|들어|만들어|알려|써)"
_APOLOGETIC = re.compile(
    rf"{_APOLOGY}[^\n]{{0,120}}"
    r"(?:(?<!않을 )(?<!참석할 )(?<!만날 )(?<![갈올] )수[는가]? 없(?!었)"
    rf"|드리지 못|불가능합|허용되지 않|(?:{_SERVE}|{_MAKE_KOREAN})\S{{0,3}} ?(?:드리|하)?{_HARD})"
    rf"|{_APOLOGY}[^\n]{{0,40}}(?:혐오|비난|비속|욕설|험담|성적인|발언)"
)
_FIRST_SENTENCE = re.compile(r"[^.!?\n]{1,160}")
_CLOSERS = "\"'”’ 만"
_ENDINGS = (
    "없습니다", "없어요", "없네요", "불가능합니다", "어렵습니다", "어렵네요", "곤란합니다",
    "못합니다",
)  # fmt: skip
# How a sentence ends that will not answer or make what was asked for.
_DECLINES = re.compile(
    rf"(?:(?P<answer>{_ANSWER})|제공|처리|수행|협조|{_MAKE_KOREAN}|만들|그릴)"
    r"(?:(?:해|을|를|도|이)? ?(?:제공)?"
    rf"(?:(?P<humble>드릴)|할|줄|될)? ?{_CANNOT}"
    rf"|(?:해|을|를|도)? ?(?:(?P<offers>드리)|하|주)(?:{_HARD}(?:습니다|네요|어요)|지 못합니다)"
    r"|하?는 (?:것|일)은 불가능합니다)"
    r"만?[\"'”’ ]{0,2}\Z"
)
_NOT_GIVEN = re.compile(
    r"[^.\n]{0,60}(?:입력|컨텍스트|사진|이미지|그림|API|링크)[^.\n]{0,30}(?:[없않못]|없[으어])\S{0,4}?"
    rf"(?:[어아]서?|므로|기 때문에),? [^.\n]{{0,60}}(?:{_CANNOT}|불가능합니다|{_HARD}습니다)"
)
# What only somebody knows who can look outside.
_LIVE = re.compile(
    r"[^.\n]{0,40}(?:날씨|주가|환율|시세|가격)(?:에 대한 정보| 정보)?[은는을를] (?:\S{1,6} )?"
    rf"(?:알|알아낼|찾을|확인할) {_CANNOT}"
    r"|[^.\n]{0,20}저는 [^.\n]{0,20}(?:이미지|사진|실시간|인터넷|링크|URL)[^.\n]{0,20}"
    rf"(?:볼|열|접근할|접속할|검색할|확인할) {_CANNOT}"
)
_REASON = re.compile(r"(?:때문에|므로|[어아여라]서|[없않못]\S{0,2}[어아]|이유로),? ")
_MODEL_ITSELF = re.compile("(?:저희?는|저로서는|제가|나는) ")
# Whom or what a sentence is of; not the end of a word before the noun that it describes.
_TOPIC = re.compile("[은는](?<![하되있없맞주리라]는)(?<![같많좋짧]은) (?!데 |것|경우|방법)")
_SUBJECT = re.compile(r"(?:\S[이가]|(?:그녀?|그들|그분|우리|아무|누구|사람|회사)[은는도이가]) ")
_ASKED_FOR = re.compile("(?:요청|질문|문의|내용|정보|작업|부분|조언|것|에|서)[은는]\\Z")
_KOREAN_WORDS = (" 없", "죄송", "미안", "어렵", "불가능", "못합니다")

# A model speaks of itself in an answer's first sentences; other talk of models is none.
_MODEL = "(?:모델|어시스턴트|비서|챗봇)"
_AI = "(?:인공 ?지능|AI)"
_AI_MODEL = f"(?:{_AI}|언어) ?(?:언어 ?)?{_MODEL}"
_BECAUSE = "(?:이?기 때문|이?므로|이?라서|으?로서)"
_IS = (
    "(?: ?(?:입니다|이에요|예요|이다)|이?기 때문|이?므로|이?라서|이어서|여서|으?로서|으?로,"
    "|이?며|이?고|이?지만|이?니|이자|일 뿐)"
)
_I = "(?:저[는로에도의]|제가|나는)"
_BEGINS = r"(?:\A|[.!?\n,만])[ \"'“‘]{0,2}(?:대규모 |텍스트 기반 )?"
_SPEAKER = re.compile(
    rf"(?:저희?는|나는)[^.\n]{{0,30}}{_AI_MODEL}(?: [A-Z][\w.-]{{0,20}}?|인 [\w.-]{{1,20}}?)?{_IS}"
    rf"|제가[^.\n]{{0,12}}{_AI_MODEL}{_BECAUSE}"
    rf"|저와 같은[^.\n]{{0,30}}{_AI_MODEL}"
    rf"|(?:저희?는|나는|제가) (?:단지 |그저 |그냥 )?{_AI}{_IS}"
    rf"|저희?는? (?:[^.\n]{{0,30}} )?(?:{_AI}|챗봇){_BECAUSE}|저는 챗봇입니다"
    rf"|저희는 [^.\n]{{0,30}}하는 {_AI}{_IS}"
    rf"|(?:{_AI}|언어)[^.\n]{{0,12}}{_MODEL}인 {_I}|{_AI}인 {_I}|{_AI}으?로서,? {_I}"
    rf"|{_BEGINS}{_AI}[^.\n]{{0,12}} ?{_MODEL}(?:로서|이기 때문|이므로|이라서|입니다만)"
    rf"|{_BEGINS}언어 ?모델로서[, ]"
)
_SPEAKER_WORDS = ("모델", "AI", "지능", "챗봇", "비서", "어시스턴트")
_ENGLISH_AI = (
    "(?:text-based |large )?(?:ai|artificial intelligence|large language|language)(?: language)?"
)
_MADE = "(?:trained|developed|created|made|built|designed|programmed)"
_ENGLISH_SPEAKER = re.compile(
    rf"(?i)\bas an? {_ENGLISH_AI}(?: model| assistant| chatbot)?(?: {_MADE} [^.,\n]{{1,40}})?"
    r",? ?I\b"
    rf"|\bI(?:['’]m| am) (?:just |only )?an? {_ENGLISH_AI} (?:model|assistant|chatbot)\b"
    # Persons train them, and sell them.
    r"(?! (?:research|train|engineer|develop|design|build|mak|expert|special|architect|consult|us)"
    r"(?:er|or|ist|ant|e|ect)?\b)(?! (?:scientist|enthusiast|company|startup|team)\b)"
    rf"|\bI(?:['’]m| am) (?:just |only )?an? AI(?:[,.;]| {_MADE} by| so I"
    r"| and (?:I|do|don['’]t|can|cannot|can['’]t|have|am|not|therefore)\b)"
)
_ENGLISH_SPEAKER_WORDS = ("an AI", "an ai", "based AI", "rtificial", "anguage ")

# A letter, a line of a story or a part that was asked for may apologise. It refuses nothing, but
# where it says that it will not help, answer or write; also that, where a refusal was asked for.
_ASKS_FOR_WORDS = re.compile(
    r"(?:사과|거절|메일|편지|문자|메시지|쪽지|대사|대본|대화|소설|이야기|동화|안내문|인사말)[^\n]{0,30}"
    r"(?:써|쓰|작성|만들|만드|적어|지어|문장|예문|표현|생성|완성|이어|채우|채워)"
    r"|(?:고객|손님|문의|불만)[^\n]{0,40}(?:답변|답장|응답|응대|대응|대답|회신)"
    r"|(?:뭐라고|어떻게|무슨 말을?) ?(?:말|답|대답|사과|거절)"
    r"|(?i:(?:write|draft|compose|create|give|reply|respond|say|complete|continue|finish|generate"
    r"|role-?play)\b[^\n]{0,60}"
    r"(?:e-?mail|letter|message|apolog|declin|reject|story|dialog|conversation|speech|customer))"
    r"|(?i:(?:what|how) (?:should|do|can|could|would) (?:I|we) "
    r"(?:say|tell|write|reply|respond|answer|apologi))"
)
_ASKS_TO_REFUSE = re.compile("거절|사양|(?i:declin|reject|refus|turn(?:ing|s)? down)")
_WRITINGS_KOREAN = "(?:메일|편지|문자|메시지|쪽지|대사|대본|대화|소설|이야기|동화|글|내용)"
_WILL_NOT_HELP = re.compile(
    r"(?:(?:죄송|미안)[^\n]{0,80})?(?:"
    r"(?:답변|대답|응답|응|도와|도움|작성|생성)\S{0,3} ?(?:드릴|할|줄|될)? ?"
    r"|(?:그런|이런|그러한|이러한|해당) (?:요청|질문|내용|정보|글|이야기|행위)[^.\n]{0,20})"
    r"(?:수[는가]? 없(?:습니다|어요|네요)|드리지 못합니다)"
    rf"|(?:{_APOLOGY}[^\n]{{0,80}}|[^.\n]{{0,40}}){_WRITINGS_KOREAN}[은는을를도] ?"
    rf"(?:(?:쓸|만들|(?:작성|생성)(?:해 ?)?(?:할|드릴|줄)?|(?:써|만들어) ?(?:드릴|줄)) ?{_CANNOT}"
    rf"|(?:쓰|만드|(?:작성|생성)하)(?:는 (?:것|일)은 불가능합니다|{_HARD}))"
    rf"|(?:{_APOLOGY}[^\n]{{0,80}}|[^.\n]{{0,40}}){_ANSWER}\S{{0,3}} ?(?:드리|하)?{_HARD}"
    rf"|(?i:{_SORRY}{_I_CANNOT}"
    rf" (?:{_HELP} (?:that|this|such|any|your request|[a-z]{{3,20}}ing)"
    rf"|{_MAKE} (?:that|this|such|any|an?|content)|do (?:that|this))\b)"
    rf"|(?i:{_I_CANNOT} {_HELP} (?:that|this|such|your request)\b)"
    rf"|(?i:{_I_CANNOT} {_MAKE} (?:that|this|such|(?:an?|the) [^.\n]{{0,30}}{_WRITINGS})\b)"
)

# Where a text that apologises itself, or in which a model speaks, is to be said in other words or
# in another language, the answer says what that says.
_ASKS_TO_REWORD = re.compile(
    r"(?i)translat|re-?writ|re-?phras|paraphras|reword|proofread|correct\b|\bedit\b|grammar"
    r"|spelling|summar|simplif|polite|formal|번역|영작|통역|옮기|옮겨|다시 ?(?:작성|쓰|써|말)"
    r"|바꾸|바꿔|고치|고쳐|교정|수정|변환|의역|다듬|윤문|요약|간결|공손|정중"
)
_APOLOGISES = re.compile("(?i)sorry|apolog|unfortunately|afraid|죄송|미안|안타깝|유감|아쉽")
_CANNOT_DO = re.compile(
    r"(?i)\bcan(?:not|['’]?t| not)\b|unable|\bnot (?:able|possible)|won['’]t"
    r"|수[는가도]? ?없|할수없|어렵|어려|힘들|불가능|못"
)
_SPEAKS = re.compile(
    r"(?i)\b(?:as|am|['’]m|like) (?:just |only )?an? [^.\n]{0,30}\b(?:AI|model|assistant|chatbot)\b"
    r"|\b(?:AI|model|assistant|chatbot)s? (?:like|such as) (?:me|mine|myself|you)"
)


def refusal(instruction: str, context: str, response: str) -> str | None:
    """The words by which the response refuses, or by which a model speaks of itself in it."""
    text = response[:_SEEN].lstrip(_OPENERS)
    said = _refused(instruction, text)
    kind = _APOLOGISES if said and _APOLOGISES.search(said) else _CANNOT_DO
    if said and not _is_reworded(instruction, context, kind):
        return said
    said = _spoken(text)
    if said and not _is_reworded(instruction, context, _SPEAKS, _SPEAKER):
        return said
    return None


def _refused(instruction: str, text: str) -> str | None:
    """What the text refuses with; where words were asked for, that it will not help with them."""
    if text[:1] in _ENGLISH_BEGINS:
        found = _ENGLISH_REFUSES.match(text)
        said = found and found[0]
    else:
        said = _in_korean(text) if holds_any(text, _KOREAN_WORDS) else None
    if said is None or not _ASKS_FOR_WORDS.search(instruction):
        return said
    if _ASKS_TO_REFUSE.search(instruction):
        return None
    found = _WILL_NOT_HELP.match(text)
    return found and found[0]


def _in_korean(text: str) -> str | None:
    found = _APOLOGETIC.match(text)
    if found:
        return found[0]
    first = _FIRST_SENTENCE.match(text)
    if first is None or not first[0].rstrip(_CLOSERS).endswith(_ENDINGS):
        return None
    sentence = first[0]
    refuses = _NOT_GIVEN.match(sentence) or _LIVE.match(sentence) or _declines(sentence)
    return sentence if refuses else None


def _declines(sentence: str) -> bool:
    """Whether the sentence says that its speaker will not answer, or make what was asked for.

    Of somebody or something else, of which a company or a machine is one, it says what they
    cannot do."""
    end = _DECLINES.search(sentence)
    if end is None:
        return False
    said = sentence[: end.start()].rstrip()
    itself = _MODEL_ITSELF.match(said)
    said = said[itself.end() :] if itself else said
    reasons = list(_REASON.finditer(said))
    said_of = said[reasons[-1].end() :] if reasons and end["answer"] else said
    if _TOPIC.search(said_of) or _SUBJECT.search(said[reasons[-1].end() :] if reasons else said):
        return False
    if not said.endswith(("은", "는")):
        return not said.endswith(("이", "가", "누구도", "아무도"))
    is_humble = end["humble"] or end["offers"]
    return bool(is_humble or _ASKED_FOR.search(said))


def _spoken(text: str) -> str | None:
    """What a model says of itself."""
    found = None
    if not text.isascii() and holds_any(text, _SPEAKER_WORDS):
        found = _SPEAKER.search(text)
    if found is None and holds_any(text, _ENGLISH_SPEAKER_WORDS):
        found = _ENGLISH_SPEAKER.search(text)
    return found and found[0]


def _is_reworded(instruction: str, context: str, *said: re.Pattern[str]) -> bool:
    """Whether other words were asked for, for a text in which one of the patterns is found."""
    if not _ASKS_TO_REWORD.search(instruction):
        return False
    return any(pattern.search(text) for pattern in said for text in (instruction, context))
