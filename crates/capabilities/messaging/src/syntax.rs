//! How subjects are written, and patterns of several.

use reef_app::{Subject, SubjectError};

/// How a backend's subjects are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// As NATS has them: `orders.new`; `*` stands for a token, `>` at the end for all that follow.
    Tokens,
    /// As MQTT has them: `orders/new`; `+` stands for a level, `#` at the end for all that follow.
    Levels,
}

impl Syntax {
    /// Whether a message about `subject` is one of those that `pattern` stands for.
    pub fn matches(self, pattern: &str, subject: &str) -> bool {
        match self {
            Self::Tokens => pattern.parse::<Subject>().is_ok_and(|all| all.matches(subject)),
            Self::Levels => levels(pattern, subject),
        }
    }

    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is none.
    pub fn check(self, pattern: &str) -> Result<(), String> {
        match self {
            Self::Tokens => {
                let parsed: Result<Subject, SubjectError> = pattern.parse();
                parsed.map(drop).map_err(|error| error.to_string())
            }
            Self::Levels => {
                let parsed = pattern.parse::<reef_mqtt::Topic>();
                parsed.map(drop).map_err(|error| error.to_string())
            }
        }
    }

    /// Whether it is one subject, and not a pattern of several.
    pub fn is_exact(self, pattern: &str) -> bool {
        match self {
            Self::Tokens => pattern.parse::<Subject>().is_ok_and(|subject| subject.is_exact()),
            Self::Levels => !pattern.contains(['+', '#']),
        }
    }
}

fn levels(pattern: &str, topic: &str) -> bool {
    // What the broker has to say of itself is in no wildcard at the start.
    if topic.starts_with('$') && pattern.starts_with(['+', '#']) {
        return false;
    }
    let (mut patterns, mut levels) = (pattern.split('/'), topic.split('/'));
    loop {
        match (patterns.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(pattern), Some(level)) if pattern == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_match_as_the_specification_says() {
        for (pattern, topic, expected) in [
            ("sport/tennis/#", "sport/tennis", true),
            ("sport/tennis/#", "sport/tennis/player/ranking", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("a/b", "a/b", true),
            ("a/b", "a/c", false),
        ] {
            assert_eq!(Syntax::Levels.matches(pattern, topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert!(Syntax::Tokens.check("a..b").is_err());
        assert!(Syntax::Levels.check("a/#/b").is_err());
        assert!(Syntax::Tokens.check("a.*").is_ok() && !Syntax::Tokens.is_exact("a.*"));
        assert!(Syntax::Levels.check("a.*").is_ok() && Syntax::Levels.is_exact("a.*"));
    }
}
