//! Archives and packed streams.

use crate::support::{Finder, NEEDLE, python, tool, unpack};
use keyward_scanner::{Bounds, Cause, unpack_bytes, unpack_reader, unpack_stream};
use std::{fs, io::Cursor};

const ARCHIVES: &str = r##"
import bz2, gzip, io, lzma, sys, tarfile, zipfile
needle = sys.argv[1].encode()
text = b"first line\nkey = " + needle + b"\n"

def zipped(files, method=zipfile.ZIP_DEFLATED, into=None):
    out = into or io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return None if into else out.getvalue()

def tarred(files, form=tarfile.GNU_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()

class Pipe(io.RawIOBase):
    def __init__(self): self.content = b""
    def writable(self): return True
    def seekable(self): return False
    def write(self, some): self.content += bytes(some); return len(some)

def save(name, content): open(name, "wb").write(content)

for name, method in [("stored", 0), ("deflated", 8), ("bzip2", 12), ("lzma", 14)]:
    save(name + ".zip", zipped([("empty", b""), ("dir/a.txt", text), ("b.txt", b"nothing")], method))
for name, method in [("stored", 0), ("deflated", 8)]:
    pipe = Pipe()
    zipped([("a.txt", text), ("b.txt", text)], method, pipe)
    save("piped-" + name + ".zip", pipe.content)
save("nested.zip", zipped([("in/inner.jar", zipped([("x.properties", text)]))]))
save("joined.zip", zipped([("a.txt", text)]) + zipped([("b.txt", b"nothing"), ("c.txt", b"nothing either")]))
save("alone.lzma", lzma.compress(text, format=lzma.FORMAT_ALONE))
save("alone.tar.lzma", lzma.compress(tarred([("etc/.env", text)]), format=lzma.FORMAT_ALONE))
import struct, zlib
def pdf(text, more=b""):
    out = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
    for extra, content in [(b"", zlib.compress(text)), (b"", b""), (b" /Subtype /Image", b"no deflated content")]:
        out += b"2 0 obj\n<< /Filter /FlateDecode%s /Length %d >>\nstream\n%s\nendstream\nendobj\n" % (extra, len(content), content)
    return out + b"trailer\n<< /Root 1 0 R %s>>\n%%%%EOF\n" % more
save("a.pdf", pdf(text))
save("large.pdf", pdf(text) + b"% filling\n" * 200000)
save("locked.pdf", pdf(bytes(range(200)), b"/Encrypt 9 0 R "))
save("broken.pdf", pdf(text)[:-140].replace(b"stream\nx", b"stream\n!"))
def png(chunks):
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in [(b"IHDR", bytes(13))] + chunks + [(b"IEND", b"")]:
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out
z = zlib.compress(text)
save("a.png", png([(b"zTXt", b"Comment\0\0" + z), (b"iTXt", b"Title\0\1\0en\0titel\0" + z), (b"iTXt", b"Plain\0\0\0\0\0plain"), (b"tEXt", b"a\0b")]))
save("behind.run", b"#!/bin/sh\nexec unzip $0\n" + zipped([("a.txt", text)]))
long = "d/" * 80 + "name.txt"
for name, form in [("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)]:
    save(name + ".tar", tarred([("empty", b""), (long, text), ("b.txt", b"nothing")], form))
save("two.tar", tarred([("a.txt", text)]) + tarred([("b.txt", text)]))
inner = tarred([("etc/.env", text)])
for name, pack in [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]:
    save("t.tar." + name, pack(inner))
    save("two." + name, pack(b"x" * 100 + needle[:10]) + pack(needle[10:] + b"\n"))
    save("padded." + name, pack(text) + bytes(512))
runs = "<?xml version='1.0'?><w:document><w:p><w:r><w:t>" + needle[:9].decode() + "</w:t></w:r><w:proofErr w:type='x'/>"
runs += "<w:r><w:t xml:space='preserve'>" + needle[9:].decode() + "</w:t></w:r></w:p></w:document>"
save("runs.docx", zipped([("word/document.xml", runs.encode())]))
save("trailing.gz", gzip.compress(b"nothing") + b"behind it: " + needle)
layer = gzip.compress(tarred([("app/.env", text)]))
image = tarred([("manifest.json", b"[]"), ("blobs/sha256/abc", layer), ("old/layer.tar", inner)])
save("image.tar", image)
deb = b"!<arch>\n"
for name, content in [("debian-binary", b"2.0\n"), ("data.tar.xz", lzma.compress(inner))]:
    deb += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
save("p.deb", deb)
deep = text
for _ in range(20):
    deep = gzip.compress(deep)
save("deep.gz", deep)
big = b"".join(b"line %d of many lines that fill the windows\n" % n for n in range(60000))
save("big.zip", zipped([("big.txt", big + text), ("inner.zip", zipped([("big.txt", big + text)], 0))], 0))
save("big.tar.gz", gzip.compress(tarred([("big.txt", big + text), ("inner.zip", zipped([("x", big + text)], 0))])))
"##;

fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    python(folder.path(), ARCHIVES);
    folder
}

#[test]
fn members_are_found_in_every_kind_of_archive() {
    let folder = made();
    let long = format!("{}name.txt", "d/".repeat(80));
    for (name, ways) in [
        ("stored.zip", vec!["dir/a.txt"]),
        ("deflated.zip", vec!["dir/a.txt"]),
        ("bzip2.zip", vec!["dir/a.txt"]),
        ("piped-stored.zip", vec!["a.txt", "b.txt"]),
        ("piped-deflated.zip", vec!["a.txt", "b.txt"]),
        ("nested.zip", vec!["in/inner.jar > x.properties"]),
        ("behind.run", vec!["a.txt"]),
        ("joined.zip", vec!["a.txt"]),
        ("alone.lzma", vec![""]),
        ("alone.tar.lzma", vec!["etc/.env"]),
        ("a.pdf", vec!["stream 1"]),
        ("large.pdf", vec!["stream 1"]),
        ("a.png", vec!["Comment", "Title"]),
        ("ustar.tar", vec![&*long]),
        ("gnu.tar", vec![&*long]),
        ("pax.tar", vec![&*long]),
        ("two.tar", vec!["a.txt", "b.txt"]),
        ("t.tar.gz", vec!["etc/.env"]),
        ("t.tar.bz2", vec!["etc/.env"]),
        ("t.tar.xz", vec!["etc/.env"]),
        ("two.gz", vec![""]),
        ("two.bz2", vec![""]),
        ("two.xz", vec![""]),
        ("padded.gz", vec![""]),
        ("padded.bz2", vec![""]),
        ("padded.xz", vec![""]),
        ("trailing.gz", vec![""]),
        ("image.tar", vec!["blobs/sha256/abc > app/.env", "old/layer.tar > etc/.env"]),
        ("runs.docx", vec!["word/document.xml"]),
        ("p.deb", vec!["data.tar.xz > etc/.env"]),
        ("big.zip", vec!["big.txt", "inner.zip > big.txt"]),
        ("big.tar.gz", vec!["big.txt", "inner.zip > x"]),
    ] {
        let told = unpack(&fs::read(folder.path().join(name)).unwrap());
        assert_eq!(told.ways(), ways, "{name}");
        assert_eq!(told.unread, [], "{name}");
        if !name.starts_with("two.") && !name.starts_with("runs.") && !name.starts_with("trailing") {
            let line = if name.starts_with("big") { 60_002 } else { 2 };
            assert_eq!((told.found[0].line, told.found[0].column), (line, 7), "{name}");
        }
    }
}

#[test]
fn what_cannot_be_unpacked_is_told() {
    let folder = made();
    tool(folder.path(), &["sh", "-c", "echo secret > s && zip -q -P pass locked.zip s"]);
    for (name, cause, way) in [
        ("lzma.zip", Cause::Unsupported, "dir/a.txt"),
        ("locked.zip", Cause::Encrypted, "s"),
        ("deep.gz", Cause::TooDeep, ""),
        ("locked.pdf", Cause::Encrypted, ""),
        ("broken.pdf", Cause::Corrupt, "stream 1"),
    ] {
        let told = unpack(&fs::read(folder.path().join(name)).unwrap());
        let unread: Vec<_> = told.unread.iter().map(|one| (one.cause, one.within.join(" > "))).collect();
        assert!(unread.contains(&(cause, way.to_owned())), "{name}: {unread:?}");
        assert_eq!(told.found, [], "{name}");
    }
    for magic in [
        &b"7z\xbc\xaf\x27\x1c"[..],
        b"Rar!\x1a\x07\x01\0",
        b"\x04\x22\x4d\x18",
        b"# v2 git bundle\n",
        b"# v3 git bundle\n",
    ] {
        let told = unpack(&[magic, b"-- stored: ", NEEDLE.as_bytes()].concat());
        assert_eq!(told.causes(), [Cause::Unsupported]);
        assert_eq!(told.found.len(), 1, "what is stored as it is shows all the same");
    }
}

#[test]
fn zstd_is_unpacked() {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    let frame = |text: &str| compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let (front, back) = NEEDLE.split_at(9);
    let told = unpack(&[frame(front), skipped, frame(back)].concat());
    assert_eq!((told.ways(), told.unread.len()), (vec![String::new()], 0));
}

/// Of every archive cut short anywhere: no crash, and where something is missing, it is told.
#[test]
fn archives_cut_short_anywhere_are_told() {
    let folder = made();
    for name in ["stored.zip", "deflated.zip", "piped-deflated.zip", "gnu.tar", "t.tar.gz", "t.tar.bz2", "t.tar.xz"] {
        let whole = fs::read(folder.path().join(name)).unwrap();
        let complete = unpack(&whole).found;
        // Long archives are mostly fillings: their ends are cut in larger steps.
        let step = whole.len().div_ceil(2000);
        // What tells a tar archive is its whole first header, and bzip2 its first block's mark.
        let shortest = if name == "gnu.tar" { 512 } else { 10 };
        for length in (shortest..whole.len()).step_by(step) {
            let told = unpack(&whole[..length]);
            if told.found != complete {
                assert!(!told.unread.is_empty(), "{name} cut to {length} is silent");
            }
        }
    }
}

/// Every byte turned around: no crash, no hang.
#[test]
fn damaged_archives_do_no_harm() {
    let folder = made();
    for name in ["deflated.zip", "piped-stored.zip", "t.tar.gz", "t.tar.bz2", "t.tar.xz", "nested.zip"] {
        let whole = fs::read(folder.path().join(name)).unwrap();
        for at in 0..whole.len() {
            for change in [0xff, 0x01, 0x80] {
                let mut damaged = whole.clone();
                damaged[at] ^= change;
                let mut told = Finder::default();
                unpack_bytes(b"file", &damaged, &Bounds::default(), &mut told);
                unpack_stream(b"file", &*damaged, &Bounds::default(), &mut told);
            }
        }
    }
}

#[test]
fn sizes_that_lie_are_told() {
    let folder = made();
    let whole = fs::read(folder.path().join("deflated.zip")).unwrap();
    let member = memchr::memmem::find(&whole, b"dir/a.txt").unwrap() - 30;
    let listed = memchr::memmem::rfind(&whole, b"dir/a.txt").unwrap() - 46;
    for size in [0_u32, 1, 5, 1 << 30, u32::MAX] {
        let mut lying = whole.clone();
        lying[member + 18..member + 22].copy_from_slice(&size.to_le_bytes());
        lying[listed + 20..listed + 24].copy_from_slice(&size.to_le_bytes());
        let mut told = Finder::default();
        unpack_bytes(b"file", &lying, &Bounds::default(), &mut told);
        assert!(told.ways().contains(&"dir/a.txt".to_owned()), "{size}: {:?}", told.unread);
        assert!(!told.unread.is_empty(), "{size}");
    }
    // A tar member of more bytes than there are.
    let tar = fs::read(folder.path().join("ustar.tar")).unwrap();
    let mut lying = tar[..2048].to_vec();
    lying[512 + 124..512 + 136].copy_from_slice(b"77777777777\0");
    let header = &mut lying[512..1024];
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let told = unpack(&lying);
    assert_eq!((told.found.len(), told.causes().contains(&Cause::Corrupt)), (1, true));
}

#[test]
fn members_that_the_directory_leaves_out_are_found() {
    let folder = made();
    let whole = fs::read(folder.path().join("deflated.zip")).unwrap();
    // The directory's entry for the member becomes one for the empty member.
    let directory = memchr::memmem::find(&whole, b"PK\x01\x02").unwrap();
    let empty = whole[directory..directory + 46 + 5].to_vec();
    let end = memchr::memmem::rfind(&whole, b"PK\x05\x06").unwrap();
    let mut hidden = [&whole[..directory], &empty, &whole[end..]].concat();
    let mark = directory + empty.len();
    hidden[mark + 8..mark + 12].copy_from_slice(&[1, 0, 1, 0]);
    hidden[mark + 12..mark + 16].copy_from_slice(&u32::try_from(empty.len()).unwrap().to_le_bytes());
    let mut told = Finder::default();
    unpack_reader(b"file", Cursor::new(&hidden), &Bounds::default(), &mut told);
    assert_eq!(told.ways(), ["dir/a.txt"]);
}
