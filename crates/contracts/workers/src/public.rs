//! The static files of a site: its folder `public`, as the root.

use percent_encoding::percent_decode_str;

/// The folder.
pub const FOLDER: &str = "public";
/// What a path that nothing answers at is answered with, if it is there: with the status 404.
pub const NOT_FOUND: &str = "public/404.html";

/// The files that may answer at a path (without its query), the first to be looked for first, from the
/// site's folder on: `/about` is `public/about`, `public/about/index.html` or `public/about.html`.
///
/// There are none for a path that leaves the folder, and for hidden files, except below `/.well-known/`.
pub fn candidates(path: &str) -> Vec<String> {
    let mut file = FOLDER.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let Ok(part) = percent_decode_str(part).decode_utf8() else { return Vec::new() };
        let hidden = part.starts_with('.') && part != ".well-known";
        if hidden || part.contains(|c: char| matches!(c, '/' | '\\') || c.is_control()) {
            return Vec::new();
        }
        file.push('/');
        file.push_str(&part);
    }
    let index = format!("{file}/index.html");
    if file == FOLDER {
        return vec![index];
    }
    let page = format!("{file}.html");
    if path.ends_with('/') { vec![index, page] } else { vec![file, index, page] }
}

#[cfg(test)]
mod tests;
