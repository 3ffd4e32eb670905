//! `keyward backup`: the whole database as one file, encrypted to the recovery recipient before it leaves the server.

use super::{App, Outcome};
use crate::{
    client::{Answer, Route},
    failure::Failure,
    files, policy,
    ui::{
        Ui,
        table::{self, plain},
    },
};
use serde_json::json;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// How many bytes come between two words about progress.
const STEP: u64 = 1 << 20;

/// Write a backup of everything into one file, encrypted to the recovery recipient
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  keyward backup keyward.backup
  keyward backup - | ssh attic 'cat > keyward.backup'

The server goes on working meanwhile. `keyward restore FILE` brings it back with the recovery identity.")]
pub(crate) struct Backup {
    /// The new file, made with mode 0600 and never overwritten; - for standard output
    file: PathBuf,
}

impl Backup {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let client = app.client()?;
        let route = Route::new(&["backup"])?;
        if self.file == Path::new("-") {
            if app.context.ui.out_terminal {
                return Err(Failure::usage("a backup is not for the eyes: name a file, or pipe standard output"));
            }
            let mut answer = client.download(route).await?;
            while let Some(piece) = answer.piece().await? {
                app.context.ui.raw(&piece)?;
            }
            return Ok(crate::failure::Verdict::Yes);
        }
        if self.file.symlink_metadata().is_ok() {
            return Err(files::exists(&self.file));
        }
        // Under another name until it is whole: what bears the name of a backup is one.
        let draft = files::beside(&self.file, ".partial");
        let mut file = files::create(&draft)?;
        let received = tokio::select! {
            received = receive(client.download(route), &mut file, &draft, &mut app.context.ui) => received,
            _ = tokio::signal::ctrl_c() => Err(Failure::failed("interrupted: there is no backup")),
        };
        app.context.ui.progress("");
        let bytes = received.and_then(|bytes| files::settle(&draft, &self.file).map(|()| bytes)).inspect_err(|_| {
            // The failure itself is told; half a backup is of no use.
            let _gone = fs::remove_file(&draft);
        })?;
        let answer = json!({"file": self.file.display().to_string(), "bytes": bytes});
        app.done(&answer, |answer, _| table::record(answer, &[plain("backup", "/file"), plain("bytes", "/bytes")]))
    }
}

async fn receive(
    download: impl Future<Output = Result<Answer, Failure>>,
    file: &mut File,
    draft: &Path,
    ui: &mut Ui,
) -> Result<u64, Failure> {
    let mut answer = download.await?;
    let whole = answer.length();
    let (mut bytes, mut told) = (0_u64, 0_u64);
    while let Some(piece) = answer.piece().await? {
        file.write_all(&piece).map_err(|error| files::cannot_write(draft, &error))?;
        bytes += piece.len() as u64;
        if bytes >= told + STEP {
            told = bytes;
            let of = whole.map(|whole| format!(" of {}", mebibytes(whole))).unwrap_or_default();
            ui.progress(&format!("received {}{of}", mebibytes(bytes)));
        }
    }
    if bytes == 0 {
        return Err(Failure::failed("the server sent an empty backup"));
    }
    file.sync_all().map_err(|error| files::cannot_write(draft, &error))?;
    Ok(bytes)
}

fn mebibytes(bytes: u64) -> String {
    policy::shown_size(bytes >> 20 << 20)
}
