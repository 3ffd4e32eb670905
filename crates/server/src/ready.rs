//! What the server says when it is ready: one JSON line for scripts, a few lines for people.

use crate::{args::Format, demo, terminal};
use serde_json::json;
use std::path::Path;

/// Where everything is.
pub(crate) struct Ready<'a> {
    /// The gateway's URL.
    pub gateway: &'a str,
    /// The control API's URL.
    pub admin: &'a str,
    /// The one-time link, while there is no owner.
    pub setup_url: Option<&'a str>,
    /// What a demo has to show.
    pub demo: Option<Demo<'a>>,
}

/// A demo's own.
#[derive(Clone, Copy)]
pub(crate) struct Demo<'a> {
    /// The sample key.
    pub key: &'a str,
    /// The throw-away data folder, which leads the command line to the server.
    pub folder: &'a Path,
    /// How the program was called.
    pub program: &'a str,
}

/// Says it.
pub(crate) fn say(ready: &Ready<'_>, format: Format) {
    match format {
        Format::Json => {
            let mut line = json!({"gateway": ready.gateway, "admin": ready.admin, "setup_url": ready.setup_url});
            if let (Some(demo), Some(fields)) = (ready.demo, line.as_object_mut()) {
                fields.insert("demo_key".to_owned(), demo.key.into());
                fields.insert("data_dir".to_owned(), demo.folder.display().to_string().into());
            }
            terminal::result(&line.to_string());
        }
        Format::Text => terminal::result(&text(ready)),
    }
}

fn text(ready: &Ready<'_>) -> String {
    let Ready { gateway, admin, setup_url, demo } = ready;
    let mut out = format!(
        "\nKeyward is ready.\n\n  Gateway      {gateway}   (applications: {gateway}/openai/v1, {gateway}/anthropic, …)\n  \
         Control API  {admin}   (described at {admin}/api/docs)\n"
    );
    if let Some(demo) = demo {
        out.push_str(
            "\nThis is a demo: a sandbox provider answers, there is no recovery identity, and everything is gone \
             when it stops.\nTry it:\n\n",
        );
        out.push_str(&demo::command(gateway, demo.key));
        out.push_str("\n\nLook around, from a second terminal in the same folder:\n\n");
        out.push_str(&demo::tour(demo.folder, demo.program));
    } else if let Some(link) = setup_url {
        out.push_str(&format!("\nOpen this link once to set up the owner and the recovery identity:\n\n  {link}\n"));
    }
    out.push_str("\nCtrl-C stops it.");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_what_they_need_next() {
        let first = Ready { gateway: "http://g", admin: "http://a", setup_url: Some("http://a/setup#x"), demo: None };
        assert!(text(&first).contains("http://a/setup#x"));
        let later = Ready { setup_url: None, ..first };
        assert!(!text(&later).contains("setup"));
        let shown = Demo { key: "kw_dev_sample", folder: Path::new("/tmp/demo one"), program: "bin/keyward" };
        let demo = Ready { demo: Some(shown), ..later };
        assert!(text(&demo).contains("curl http://g/openai/v1/chat/completions"));
        assert!(text(&demo).contains("Bearer kw_dev_sample"));
        assert!(text(&demo).contains("export KEYWARD_DATA_DIR='/tmp/demo one'\nbin/keyward key list\n"));
    }
}
