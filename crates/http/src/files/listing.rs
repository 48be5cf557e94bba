//! A folder's content as a page.

use std::fmt::Write;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::root::Root;

/// Entries on a page. More are counted only.
const MAX_ENTRIES: usize = 10_000;

/// What a name keeps as it is in a link.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

struct Line {
    folder: bool,
    name: Vec<u8>,
    length: u64,
    modified: Option<SystemTime>,
}

/// The page for a folder; `title` is the path that the client asked for. Links that lead out of
/// the root, and what is no file and no folder, are left out.
pub(super) fn page(root: &Root, path: &Path, title: &str, dot_files: bool) -> io::Result<String> {
    let folder = match path.as_os_str().is_empty() {
        true => root.dir().try_clone()?,
        false => root.dir().open_dir(path)?,
    };
    let (mut lines, mut more) = (Vec::new(), 0usize);
    for entry in folder.entries()? {
        let name = entry?.file_name();
        if !dot_files && name.as_bytes().starts_with(b".") {
            continue;
        }
        if lines.len() == MAX_ENTRIES {
            more += 1;
            continue;
        }
        let Ok(metadata) = root.dir().metadata(path.join(&name)) else { continue };
        if metadata.is_dir() || metadata.is_file() {
            lines.push(Line {
                folder: metadata.is_dir(),
                name: name.as_bytes().to_vec(),
                length: metadata.len(),
                modified: metadata.modified().ok().map(cap_std::time::SystemTime::into_std),
            });
        }
    }
    lines.sort_unstable_by(|a, b| (!a.folder, &a.name).cmp(&(!b.folder, &b.name)));
    Ok(html(&lines, more, title, path.as_os_str().is_empty()))
}

fn html(lines: &[Line], more: usize, title: &str, top: bool) -> String {
    let title = escaped(&percent_encoding::percent_decode_str(title).decode_utf8_lossy());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Files in {title}</title>\n\
         <style>body{{font-family:sans-serif}}td,th{{padding:0 1em 0 0;text-align:start}}</style>\n\
         <main>\n<h1>Files in {title}</h1>\n<table>\n<thead><tr><th scope=\"col\">Name</th>\
         <th scope=\"col\">Bytes</th><th scope=\"col\">Changed</th></tr></thead>\n<tbody>\n"
    );
    if !top {
        page.push_str("<tr><td><a href=\"../\">The folder above</a></td><td></td><td></td></tr>\n");
    }
    for line in lines {
        let slash = if line.folder { "/" } else { "" };
        let name = escaped(&String::from_utf8_lossy(&line.name));
        let length = if line.folder { String::new() } else { line.length.to_string() };
        let date = line.modified.and_then(date).unwrap_or_default();
        // `./`, so that no name is read as a scheme. Writing to a string does not fail.
        let _ = writeln!(
            page,
            "<tr><td><a href=\"./{}{slash}\">{name}{slash}</a></td><td>{length}</td><td>{date}</td></tr>",
            percent_encode(&line.name, NAME),
        );
    }
    page.push_str("</tbody>\n</table>\n");
    if more > 0 {
        let _ = writeln!(page, "<p>{more} more are not shown.</p>");
    }
    page.push_str("</main>\n</html>\n");
    page
}

fn date(time: SystemTime) -> Option<String> {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    // Where dates end, in 9999.
    (seconds < 253_402_300_800).then(|| httpdate::fmt_http_date(time))
}

/// Text as HTML has it, in content and in attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
