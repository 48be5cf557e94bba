//! Whether a statement begins or ends a transaction, by its first words: drivers do not tell.

/// What a statement means for its session's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It begins one.
    Begins,
    /// It ends one, and keeps what was done.
    Commits,
    /// It ends one, and undoes what was done.
    RollsBack,
    /// Neither.
    None,
}

/// What a statement means for its session's transaction.
pub(crate) fn effect(text: &str) -> Effect {
    let mut words = words(text);
    let mut next = || words.next().unwrap_or_default();
    let first = next();
    let is = |word: &str| first.eq_ignore_ascii_case(word);
    if is("begin") || is("start") || is("savepoint") || is("xa") {
        Effect::Begins
    } else if is("commit") || is("end") {
        Effect::Commits
    } else if is("abort") {
        Effect::RollsBack
    } else if is("rollback") {
        let second = next();
        let optional = ["work", "transaction"].iter().any(|w| second.eq_ignore_ascii_case(w));
        let second = if optional { next() } else { second };
        // Back to a savepoint is not out of the transaction.
        if second.eq_ignore_ascii_case("to") { Effect::None } else { Effect::RollsBack }
    } else if is("set") && text.to_ascii_lowercase().contains("autocommit") {
        Effect::Begins
    } else {
        Effect::None
    }
}

/// The words of a statement, without comments.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == '(');
            if let Some(comment) = rest.strip_prefix("--").or_else(|| rest.strip_prefix('#')) {
                rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = rest.strip_prefix("/*") {
                rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
            } else {
                break;
            }
        }
        let ends = |c: char| !c.is_alphanumeric() && c != '_';
        let end = rest.find(ends).unwrap_or(rest.len());
        // What is no word ends the words.
        let (word, after) = (rest.get(..end)?, rest.get(end..)?);
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

#[cfg(test)]
mod tests;
