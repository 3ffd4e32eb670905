//! Objects at the providers (files, batches, stored responses) and whom they belong to. They come in with the usage
//! events; the first owner stays the owner.

use crate::{Error, Store, Write, each::each};
use keyward_domain::{CredentialId, KeyId, Millis, ProjectId, usage::OwnedObject};

statements! {
    OBJECT = "select provider, object, kind, project_id, key_id, credential_id, at
        from objects where provider = $1 and object = $2";
    EACH = "select provider, object, kind, project_id, key_id, credential_id, at from objects";
    FORGET = "delete from objects where at < $1";
}

row! {
    struct ObjectRow {
        provider: Box<str>,
        object: Box<str>,
        kind: Box<str>,
        project: ProjectId,
        key: KeyId,
        credential: CredentialId,
        at: Millis,
    }
}

impl From<ObjectRow> for OwnedObject {
    fn from(row: ObjectRow) -> Self {
        let ObjectRow { provider, object, kind, project, key, credential, at } = row;
        Self { provider, object, kind, project, key, credential, at }
    }
}

impl Store {
    /// An object by its id at the provider.
    ///
    /// # Errors
    /// The database's.
    pub async fn object(&self, provider: &str, object: &str) -> Result<Option<OwnedObject>, Error> {
        Ok(read!(self, fetch_optional, ObjectRow, "an object", OBJECT, provider, object)?.map(OwnedObject::from))
    }

    /// Hands over every object, in no particular order, without holding them all.
    ///
    /// # Errors
    /// The database's.
    pub async fn each_object(&self, mut take: impl FnMut(OwnedObject) + Send) -> Result<(), Error> {
        let done = on!(self.readers(), pool => {
            each(sqlx::query(EACH).fetch(pool), |row: ObjectRow| take(row.into())).await
        });
        done.map_err(|error| self.failed(error, "the objects"))
    }
}

impl Write {
    /// Forgets objects made before a moment. Answers how many.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_objects(&mut self, before: Millis) -> Result<u64, Error> {
        run!(self, "the objects", FORGET, before)
    }
}
