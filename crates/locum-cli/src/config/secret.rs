//! Secrets, which a configuration only refers to: `${NAME}` or `file:/path`.

use std::fs;

use super::value::Secret;

impl Secret {
    /// What it stands for: the environment variable, the file's text without the space around it, or
    /// itself.
    ///
    /// # Errors
    ///
    /// Reason and remedy where there is nothing behind it.
    pub(crate) fn resolve(&self) -> Result<String, (String, String)> {
        let Self(text) = self;
        let (value, from) = if let Some(path) = text.strip_prefix("file:") {
            let value = fs::read_to_string(path).map_err(|error| {
                let remedy = format!("write the secret into `{path}`, readable for this user only");
                (format!("cannot read `{path}`: {error}"), remedy)
            })?;
            (value.trim().to_owned(), format!("`{path}`"))
        } else if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            let value = std::env::var(name).map_err(|_| {
                let reason = format!("the environment variable `{name}` is not set");
                (reason, format!("set `{name}`, or write `file:/path`"))
            })?;
            (value, format!("`{name}`"))
        } else {
            (text.clone(), "it".to_owned())
        };
        if value.is_empty() || value.bytes().any(|byte| !byte.is_ascii_graphic()) {
            let remedy = "give it letters, digits and signs, without space".to_owned();
            return Err((format!("{from} holds no usable secret"), remedy));
        }
        Ok(value)
    }
}
