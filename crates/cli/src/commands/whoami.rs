//! `keyward whoami`: which server answers, and as whom one speaks to it.

use super::{App, Outcome};
use crate::{
    client::Route,
    ui::table::{self, plain},
};

/// Show which server is spoken to, as whom, and how it was found
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  keyward whoami")]
pub(crate) struct Whoami {}

impl Whoami {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let client = app.client()?;
        let mut me = client.get(Route::new(&["whoami"])?).await?;
        if let Some(fields) = me.as_object_mut() {
            fields.insert("addr".to_owned(), client.target().address.to_string().into());
            fields.insert("source".to_owned(), client.target().source.clone().into());
        }
        let fields =
            [plain("name", "/name"), plain("role", "/role"), plain("server", "/addr"), plain("found by", "/source")];
        app.done(&me, |me, _| table::record(me, &fields))
    }
}
