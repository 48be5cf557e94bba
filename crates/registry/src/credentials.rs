//! What people have logged in to registries with: `docker login`'s and `podman login`'s files, and the
//! programs that these name.

use std::{path::PathBuf, time::Duration};

use docker_credential::{CredentialRetrievalError, DockerCredential};

/// How long a program that keeps credentials may take: it may ask a person.
const HELPER: Duration = Duration::from_secs(30);
/// What Docker's own registry is called in these files.
const DOCKER: &str = "https://index.docker.io/v1/";

/// Not to be printed.
pub(crate) enum Credentials {
    Password {
        user: String,
        password: String,
    },
    /// To be exchanged for a token.
    Identity(String),
}

/// What there is for a registry, and what was wrong with it.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) credentials: Option<Credentials>,
    /// For the end of a message; empty, or begins with `; `.
    pub(crate) note: String,
}

/// Looks for what a registry was logged in to with.
pub(crate) async fn find(registry: &str) -> Found {
    let server = if registry == "docker.io" { DOCKER } else { registry }.to_owned();
    // Reads files, and waits for a program.
    let looking = tokio::task::spawn_blocking(move || look(&server));
    match tokio::time::timeout(HELPER, looking).await {
        Ok(found) => found.unwrap_or_default(),
        Err(_) => Found {
            credentials: None,
            note: format!("; the program that keeps credentials did not answer within {HELPER:?}"),
        },
    }
}

fn look(server: &str) -> Found {
    let mut note = String::new();
    for is_docker in [true, false] {
        let found = match is_docker {
            true => docker_credential::get_credential(server),
            false => docker_credential::get_podman_credential(server),
        };
        match found {
            Ok(DockerCredential::UsernamePassword(user, password)) => {
                let credentials = Some(Credentials::Password { user, password });
                return Found { credentials, note: String::new() };
            }
            Ok(DockerCredential::IdentityToken(token)) if !token.is_empty() => {
                let credentials = Some(Credentials::Identity(token));
                return Found { credentials, note: String::new() };
            }
            Ok(_) => {}
            // What a helper said is not repeated: a secret may be in it.
            Err(error) => note.push_str(match error {
                CredentialRetrievalError::HelperCommunicationError => {
                    "; the credential helper that Docker's config.json names cannot be run"
                }
                CredentialRetrievalError::MalformedHelperResponse => {
                    "; the credential helper that Docker's config.json names answers nonsense"
                }
                CredentialRetrievalError::CredentialDecodingError
                | CredentialRetrievalError::CredentialMismatchError => {
                    "; what Docker's config.json has for it cannot be read"
                }
                // Podman's need not be there.
                CredentialRetrievalError::ConfigReadError if is_docker && has_config() => {
                    "; Docker's config.json cannot be read"
                }
                // A helper fails also where it has nothing.
                _ => "",
            }),
        }
    }
    Found { credentials: None, note }
}

fn has_config() -> bool {
    let var = |name| std::env::var_os(name).map(PathBuf::from);
    let folder = var("DOCKER_CONFIG").or_else(|| Some(var("HOME")?.join(".docker")));
    folder.is_some_and(|folder| folder.join("config.json").exists())
}
