//! Which file a request is answered with.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use super::conditional::Validators;
use super::path::{self, Wanted};
use super::root::{Entry, Opened, Wait, is_missing};
use super::{Ask, Site, listing};
use crate::encoding::Coding;

/// What is at a path, for this client.
#[derive(Debug)]
pub(super) enum Found {
    File(Representation),
    /// It is a folder, and the path does not end in a slash: links in its page would not be
    /// relative to it.
    Slash,
    /// A folder's content, as a page.
    Listing(String),
    /// Nothing, and the page that says so.
    Missing(Option<Representation>),
}

/// A file in the form that is sent.
#[derive(Debug)]
pub(super) struct Representation {
    pub(super) opened: Opened,
    pub(super) media_type: Cow<'static, str>,
    pub(super) coding: Option<Coding>,
}

impl Representation {
    pub(super) fn validators(&self) -> Validators {
        let form = match self.coding {
            None => "",
            Some(Coding::Brotli) => "-br",
            Some(Coding::Zstd) => "-zstd",
            Some(Coding::Gzip) => "-gzip",
        };
        Validators::of(self.opened.length, self.opened.modified, form)
    }
}

impl Site {
    /// Finds what a request is answered with.
    ///
    /// # Errors
    /// Of the file system, other than those that mean that nothing is there.
    pub(super) fn find(&self, ask: &Ask, wait: Wait) -> io::Result<Found> {
        let found = match path::resolve(&ask.rest, self.options.dot_files) {
            // A route without a rest may end in a slash itself.
            Some(wanted) if ask.uri.path().ends_with('/') => {
                self.at(ask, &Wanted { folder: true, ..wanted }, wait)?
            }
            Some(wanted) if wanted.path.as_os_str().is_empty() => Some(Found::Slash),
            Some(wanted) => self.at(ask, &wanted, wait)?,
            None => None,
        };
        if let Some(found) = found {
            return Ok(found);
        }
        if let Some(page) = &self.options.fallback
            && !names_a_file(&ask.rest)
            && let Some(page) = self.named(ask, page, wait)?
        {
            return Ok(Found::File(page));
        }
        let page = match &self.options.not_found {
            Some(page) => self.named(ask, page, wait)?,
            None => None,
        };
        Ok(Found::Missing(page))
    }

    fn at(&self, ask: &Ask, wanted: &Wanted, wait: Wait) -> io::Result<Option<Found>> {
        let path = &wanted.path;
        if !wanted.folder {
            return Ok(match self.look(path, wait)? {
                Some(Entry::File(opened)) => Some(Found::File(self.best(ask, path, opened, wait)?)),
                Some(Entry::Folder) => Some(Found::Slash),
                Some(Entry::Other) | None => None,
            });
        }
        for index in &self.options.index {
            if let Some(file) = self.named(ask, &path.join(index), wait)? {
                return Ok(Some(Found::File(file)));
            }
        }
        if !self.options.listing {
            return Ok(None);
        }
        if wait == Wait::No {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let page =
            listing::page(&self.root, path, ask.uri.path(), self.options.dot_files).map(Some);
        let page = page.or_else(|error| if is_missing(&error) { Ok(None) } else { Err(error) });
        Ok(page?.map(Found::Listing))
    }

    fn named(&self, ask: &Ask, path: &Path, wait: Wait) -> io::Result<Option<Representation>> {
        match self.look(path, wait)? {
            Some(Entry::File(opened)) => self.best(ask, path, opened, wait).map(Some),
            _ => Ok(None),
        }
    }

    /// The form of a file that the client likes best, of those that are there.
    fn best(
        &self,
        ask: &Ask,
        path: &Path,
        opened: Opened,
        wait: Wait,
    ) -> io::Result<Representation> {
        let media_type = media_type(path);
        let mut left = Coding::ALL.to_vec();
        while self.options.precompressed
            && let Some(coding) = ask.accept.best(left.iter().copied())
        {
            let mut name = path.as_os_str().to_owned();
            name.push(coding.suffix());
            if let Some(Entry::File(opened)) = self.look(&PathBuf::from(name), wait)? {
                return Ok(Representation { opened, media_type, coding: Some(coding) });
            }
            left.retain(|other| *other != coding);
        }
        Ok(Representation { opened, media_type, coding: None })
    }

    fn look(&self, path: &Path, wait: Wait) -> io::Result<Option<Entry>> {
        match self.root.look(path, wait) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if is_missing(&error) => {
                tracing::debug!(path = %path.display(), %error, "no file");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// By the name's ending. Text is said to be UTF-8, as nearly all of it is.
fn media_type(path: &Path) -> Cow<'static, str> {
    match mime_guess::from_path(path).first_raw() {
        None => Cow::Borrowed("application/octet-stream"),
        Some("text/html") => Cow::Borrowed("text/html; charset=utf-8"),
        Some(text) if text.starts_with("text/") => Cow::Owned(format!("{text}; charset=utf-8")),
        Some(kind) => Cow::Borrowed(kind),
    }
}

/// Whether a path ends in the name of a file that is not a page.
fn names_a_file(rest: &str) -> bool {
    mime_guess::from_path(rest).first_raw().is_some_and(|kind| kind != "text/html")
}
