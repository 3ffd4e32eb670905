//! `/backup`: everything in one file, encrypted to the recovery recipient, consistent while the server runs.

use crate::{
    Control,
    auth::Owner,
    backup,
    error::{Answer, ApiError},
    recovery,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use http_body::Frame;
use http_body_util::StreamBody;
use keyward_store::Change;
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(backup))
}

/// The pieces of a backup as a body's frames.
fn frames(pieces: backup::Pieces) -> impl Stream<Item = std::io::Result<Frame<Bytes>>> {
    unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece.map(Frame::data), pieces))
    })
}

/// The backup file, as it is made
#[utoipa::path(get, path = "/backup", tag = "backup",
    responses((status = 200, description = "An age file, to be opened with the recovery identity", body = Vec<u8>,
        content_type = "application/octet-stream"), (status = 409, description = "No recovery identity exists yet")))]
async fn backup(Owner(caller): Owner, State(control): State<Control>) -> Answer<Response> {
    let recovery = recovery::trusted(&control).await?.ok_or_else(|| {
        ApiError::conflict("recovery_missing", "a backup is encrypted to the recovery identity, and there is none yet")
            .hint("make one: keyward vault recovery create --output FILE")
    })?;
    let write = control.write(&caller).await?;
    let said = Change {
        action: "backup.create".to_owned(),
        subject_kind: "backup".to_owned(),
        subject: recovery.recipient.clone(),
        before: Value::Null,
        after: json!({"recipient": recovery.recipient}),
        reason: None,
        row_version: None,
    };
    control.commit(write, vec![said]).await?;
    let pieces = backup::start(control.store().clone(), &recovery.recipient)?;
    let mut response = Body::new(StreamBody::new(frames(pieces))).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let name = HeaderValue::from_static("attachment; filename=\"keyward-backup.age\"");
    headers.insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}
