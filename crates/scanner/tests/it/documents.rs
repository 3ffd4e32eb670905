//! Office documents, whose programs cut a text into runs wherever they like, and mail, which cuts lines.

use crate::support::{NEEDLE, python, unpack};
use std::fs;

const DOCUMENTS: &str = r##"
import io, sys, zipfile
needle = sys.argv[1]

def save(name, content): open(name, "wb").write(content.encode() if isinstance(content, str) else content)

def zipped(name, content):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()

def runs(parts, run):
    return "".join(run.format(part) for part in parts)

def cut(*places):
    places = (0,) + places + (len(needle),)
    return [needle[one:two] for one, two in zip(places, places[1:])]

declared = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n'
word = '<w:document xmlns:w="x"><w:body><w:p w:id="1">{}</w:p></w:body></w:document>'
run = '<w:r w:rsidR="00AB12CD"><w:rPr><w:rFonts w:ascii="Consolas"/><w:b/></w:rPr><w:t xml:space="preserve">{}</w:t></w:r>'
proof = run + '<w:proofErr w:type="spellEnd"/><w:bookmarkStart w:id="0" w:name="_GoBack"/>'
for name, head in [("two", declared), ("bare", ""), ("marked", "\ufeff" + declared), ("spaced", "\n  ")]:
    save(name + ".docx", zipped("word/document.xml", head + word.format(runs(cut(9), run))))
save("many.docx", zipped("word/document.xml", declared + word.format(runs(cut(1, 2, 3, 10, 20, 30), proof))))
other = runs(["one", "two"], run) + "</w:p><w:p>"
save("apart.docx", zipped("word/document.xml", declared + word.format(run.format(needle[:9]) + "</w:p><w:p>" + run.format(needle[9:]))))
filler = "<w:p>" + run.format("some words of a long document ") + "</w:p>"
# The needle lies over the ends of windows.
for name, at in [("long", 1 << 20), ("longer", (1 << 20) + (64 << 10)), ("longest", 3 << 20)]:
    before = filler * ((at - 400) // len(filler))
    before += "<w:p>" + run.format("x" * (at - 380 - len(before) - 160)) + "</w:p>"
    content = "<w:p>" + runs(cut(4, 9, 15, 22), proof) + "</w:p>"
    save(name + ".docx", zipped("word/document.xml", declared + "<w:document><w:body>" + before + content + filler * 20000 + "</w:body></w:document>"))
strings = '<sst xmlns="x" count="2"><si><t>label</t></si><si>{}</si></sst>'
save("strings.xlsx", zipped("xl/sharedStrings.xml", declared + strings.format(runs(cut(5, 20), '<r><rPr><sz val="11"/></rPr><t>{}</t></r>'))))
sheet = '<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is>{}</is></c></row></sheetData></worksheet>'
save("inline.xlsx", zipped("xl/worksheets/sheet1.xml", declared + sheet.format(runs(cut(5), '<r><t xml:space="preserve">{}</t></r>'))))
cells = '<si><t>' + needle[:9] + '</t></si><si><t>' + needle[9:] + '</t></si>'
save("cells.xlsx", zipped("xl/sharedStrings.xml", declared + '<sst>' + cells + '</sst>'))
slide = '<p:sld><p:txBody><a:p>{}</a:p></p:txBody></p:sld>'
save("slide.pptx", zipped("ppt/slides/slide1.xml", declared + slide.format(runs(cut(9, 11), '<a:r><a:rPr lang="en-GB" dirty="0"/><a:t>{}</a:t></a:r>'))))
text = '<office:document-content><text:p>{}</text:p></office:document-content>'
save("spans.odt", zipped("content.xml", declared + text.format(runs(cut(9, 11), '<text:span text:style-name="T1">{}</text:span>'))))
save("part.odt", zipped("content.xml", declared + text.format(needle[:9] + '<text:soft-page-break/>' + needle[9:])))
save("flat.fodt", declared + text.format(runs(cut(9, 11), '<text:span>{}</text:span>')))
"##;

#[test]
fn a_text_that_is_cut_into_runs_is_found_whole() {
    let folder = tempfile::tempdir().unwrap();
    python(folder.path(), DOCUMENTS);
    for name in [
        "two.docx",
        "bare.docx",
        "marked.docx",
        "spaced.docx",
        "many.docx",
        "long.docx",
        "longer.docx",
        "longest.docx",
        "strings.xlsx",
        "inline.xlsx",
        "slide.pptx",
        "spans.odt",
        "part.odt",
        "flat.fodt",
    ] {
        let told = unpack(&fs::read(folder.path().join(name)).unwrap());
        assert_eq!(told.found.len(), 1, "{name}: {:?}", told.unread);
        // The runs are of the span as well, and nothing beyond them.
        let span = &told.found[0].span;
        assert!(span.end - span.start > NEEDLE.len() as u64 && span.end - span.start < 2_000, "{name}: {span:?}");
    }
}

#[test]
fn what_stands_in_different_paragraphs_and_cells_stays_apart() {
    let folder = tempfile::tempdir().unwrap();
    python(folder.path(), DOCUMENTS);
    for name in ["apart.docx", "cells.xlsx"] {
        assert_eq!(unpack(&fs::read(folder.path().join(name)).unwrap()).ways(), [""; 0], "{name}");
    }
}

const MAILS: &str = r##"
import quopri, sys
needle = sys.argv[1].encode()

def save(name, content): open(name, "wb").write(content)

head = b"From: a@example.org\r\nSubject: the key\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
for name, way in [("lower", b"quoted-printable"), ("title", b"Quoted-Printable"), ("upper", b"QUOTED-PRINTABLE")]:
    body = quopri.encodestring(b"see:\xc2\xa0" + b"x " * 25 + b"key=" + needle + b" \xe2\x82\xac\n")
    save(name + ".eml", head + way + b"\r\n\r\n" + body)
signs = b"".join(b"=%02X" % byte for byte in needle)
folded = b"=\r\n".join(signs[at:at + 21] for at in range(0, len(signs), 21))
save("signs.eml", head + b"quoted-printable\r\n\r\n" + folded + b"\r\n")
save("box.mbox", b"From a@example.org Mon\n" + head + b"7bit\r\n\r\nHello\n" * 3 + b"From b\n" + head + b"quoted-printable\r\n\r\n" + folded)
filler = b"some words of a long mail, one line after another=20\n"
for name, at in [("long", 1 << 20), ("longest", (2 << 20) + (64 << 10))]:
    before = head + b"quoted-printable\r\n\r\n"
    before += filler * ((at - len(before)) // len(filler))
    save(name + ".eml", before[:at - 40] + b"\n" + folded + b"\n" + filler * 40000)
save("none.eml", head + b"7bit\r\n\r\n" + folded)
"##;

#[test]
fn mail_in_quoted_printable_is_found_as_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    python(folder.path(), MAILS);
    for name in ["lower.eml", "title.eml", "upper.eml", "signs.eml", "box.mbox", "long.eml", "longest.eml"] {
        let content = fs::read(folder.path().join(name)).unwrap();
        let told = unpack(&content);
        assert_eq!(told.found.len(), 1, "{name}");
        let span = usize::try_from(told.found[0].span.start).unwrap()..usize::try_from(told.found[0].span.end).unwrap();
        assert!(span.len() > NEEDLE.len() && span.len() < 150, "{name}: {span:?}");
        let first = content[span.start];
        assert!(first == b'n' || first == b'=', "{name}: {span:?}");
    }
    assert_eq!(unpack(&fs::read(folder.path().join("none.eml")).unwrap()).found, []);
}
