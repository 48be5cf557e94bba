//! Subjects that calls are sent to.

use std::fmt;

/// What stands before the instance's name.
pub const PROTOCOL: &str = "wrpc.0.0.1";

/// A function of an instance, and who serves it.
///
/// As text it is the subject of its calls: `[PREFIX.]wrpc.0.0.1.[INSTANCE.]FUNCTION` (`SPEC.md`,
/// "Invocation subject scheme", as of the commit before the NATS transport left it).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Function {
    /// Tokens before the protocol's; empty where there are none.
    pub prefix: String,
    /// An interface such as `wasi:http/outgoing-handler@0.2.1`; empty for a function of the world.
    pub instance: String,
    /// The function as [`Function::wire_name`] has it.
    pub name: String,
}

impl Function {
    /// How a function of a component is called on the wire: a constructor by its resource, methods
    /// and static functions without what marks them as such.
    pub fn wire_name(name: &str) -> &str {
        ["[constructor]", "[method]", "[static]"]
            .into_iter()
            .find_map(|mark| name.strip_prefix(mark))
            .unwrap_or(name)
    }

    /// Reads a subject; `None` when it is not one of wRPC's.
    ///
    /// Dots stand in versions too. A version has three numbers and, after these, tokens that begin
    /// with a digit, which no function's name does.
    pub fn parse(subject: &str) -> Option<Self> {
        let (prefix, rest) = match subject.strip_prefix(PROTOCOL) {
            Some(rest) => (None, rest),
            None => {
                let at = subject.find(".wrpc.0.0.1.")?;
                (Some(&subject[..at]), &subject[at + 1 + PROTOCOL.len()..])
            }
        };
        let rest = rest.strip_prefix('.')?;
        let (instance, name) = match rest.find('@') {
            Some(at) => {
                let begins_with_digit =
                    |dot: usize| rest.as_bytes().get(dot + 1).is_some_and(u8::is_ascii_digit);
                let mut dots = rest.match_indices('.').map(|(dot, _)| dot).filter(|dot| *dot > at);
                let dot = dots.by_ref().skip(2).find(|dot| !begins_with_digit(*dot))?;
                (&rest[..dot], &rest[dot + 1..])
            }
            None if rest.contains([':', '/']) => rest.split_once('.')?,
            // A function of the world; the methods of its resources have a dot.
            None => ("", rest),
        };
        let mut tokens = prefix.into_iter().chain([rest]).flat_map(|part| part.split('.'));
        tokens.all(|token| !token.is_empty()).then(|| Self {
            prefix: prefix.unwrap_or_default().into(),
            instance: instance.into(),
            name: name.into(),
        })
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, instance, name } = self;
        for (part, dot) in [(prefix.as_str(), "."), (PROTOCOL, "."), (instance, "."), (name, "")] {
            if !part.is_empty() {
                write!(f, "{part}{dot}")?;
            }
        }
        Ok(())
    }
}
