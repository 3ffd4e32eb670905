//! Small facts about the installation as a whole, by name.

use crate::{Error, Store, Write};

statements! {
    CHANGE_VERSION = "select number from meta where name = 'change_version'";
    READ = "select text from meta where name = $1 and text is not null";
    PUT = "insert into meta (name, text) values ($1, $2) on conflict (name) do update set text = excluded.text";
    REMOVE = "delete from meta where name = $1 and number is null";
}

row! {
    struct Number { value: i64, }
}

row! {
    struct Text { value: String, }
}

impl Store {
    /// The version that every control write moves; when it differs from what a node knows, somebody changed something.
    ///
    /// # Errors
    /// The database's.
    pub async fn change_version(&self) -> Result<i64, Error> {
        Ok(read!(self, fetch_one, Number, "the change version", CHANGE_VERSION)?.value)
    }

    /// A fact by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn meta(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(read!(self, fetch_optional, Text, "a fact", READ, name)?.map(|row| row.value))
    }
}

impl Write {
    /// Sets a fact.
    ///
    /// # Errors
    /// The database's.
    pub async fn put_meta(&mut self, name: &str, text: &str) -> Result<(), Error> {
        run!(self, "a fact", PUT, name, text).map(drop)
    }

    /// Removes a fact, if it is there.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_meta(&mut self, name: &str) -> Result<(), Error> {
        run!(self, "a fact", REMOVE, name).map(drop)
    }
}
