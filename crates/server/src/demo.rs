//! What `--demo` puts in: the sandbox provider, a sample project with a credential for each dialect, and a key. All of
//! it goes through the control API, as a person would do it.

use crate::sandbox::{STANDS_FOR, Sandbox};
use anyhow::{Context, bail};
use axum::{
    Router,
    body::Body,
    http::{Request, header},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::path::Path;
use tower::ServiceExt;
use zeroize::Zeroizing;

/// The sample project's name.
pub(crate) const PROJECT: &str = "demo";

/// Starts the sandbox and fills the empty installation. Returns the sample key's text.
///
/// # Errors
/// When the sandbox cannot start or the API refuses a step.
pub(crate) async fn fill(router: &Router, token: &str) -> anyhow::Result<Zeroizing<String>> {
    let secret = Zeroizing::new(format!("sandbox-{}", token.trim_start_matches("kwt_")));
    let sandbox = Sandbox::start(&secret).await.context("starting the sandbox provider")?;
    let api = Api { router, token };
    api.post("/projects", &json!({"name": PROJECT})).await?;
    for (provider, path) in STANDS_FOR {
        let credential = json!({
            "project": PROJECT, "provider": provider, "name": format!("sandbox-{provider}"), "secret": *secret,
            "base_url": format!("http://{sandbox}{path}"), "allow_private_address": true,
            "reason": "keyward serve --demo"
        });
        api.post("/credentials", &credential).await?;
    }
    let providers: Vec<&str> = STANDS_FOR.into_iter().map(|(provider, _)| provider).collect();
    let key = json!({
        "project": PROJECT, "environment": "development", "name": "demo-key", "expires_in": "30d",
        "policy": {"providers": providers, "requests_per_minute": 600, "max_output_tokens": 4096}
    });
    let made = api.post("/keys", &key).await?;
    let text = made.get("key").and_then(Value::as_str).context("the API made a key without text")?;
    Ok(Zeroizing::new(text.to_owned()))
}

struct Api<'a> {
    router: &'a Router,
    token: &'a str,
}

impl Api<'_> {
    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = Request::post(format!("/api/v1{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))?;
        let response = self.router.clone().oneshot(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).with_context(|| format!("the answer to {path}"))?;
        if !status.is_success() {
            let detail = answer.get("detail").and_then(Value::as_str).unwrap_or("no detail");
            bail!("making the demo: {path}: {detail}");
        }
        Ok(answer)
    }
}

/// The commands that show what is in the demo. The variable leads the command line to the throw-away folder, where it
/// finds the server and a token for it.
pub(crate) fn tour(folder: &Path, program: &str) -> String {
    let (folder, program) = (word(&folder.to_string_lossy()), word(program));
    format!("export KEYWARD_DATA_DIR={folder}\n{program} key list\n{program} usage --by model\n")
}

/// One word for a shell.
fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The command that a person can paste.
pub(crate) fn command(gateway: &str, key: &str) -> String {
    format!(
        "curl {gateway}/openai/v1/chat/completions \\\n  -H 'Authorization: Bearer {key}' \\\n  \
         -H 'Content-Type: application/json' \\\n  \
         -d '{{\"model\":\"gpt-5.4\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello!\"}}]}}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_pasted_is_one_word_for_the_shell() {
        assert_eq!(word("/tmp/.tmpA-b_9"), "/tmp/.tmpA-b_9");
        for (text, quoted) in [("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$HOME", "'$HOME'"), ("", "''")] {
            assert_eq!(word(text), quoted);
        }
    }
}
