//! Stream keys: what OBS or a phone shows to publish. Shown once, then only their hash is known.

use super::{Page, PeopleError, Person, StreamKey};
use crate::accounts::token::TokenHash;
use crate::accounts::{Audience, Role, account};
use crate::base::{clock, ids};
use crate::store::{Connection, Db, StoreError, audit, stream_keys};

/// Live keys one account may have.
pub const KEYS_PER_ACCOUNT: u32 = 100;

/// The stream keys of the box. Clones share one database.
#[derive(Clone)]
pub struct StreamKeys {
    db: Db,
}

/// A new key as typed.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub label: String,
    /// Goes on air by itself when published to; else it waits in the studio as a source.
    pub auto_live: bool,
    pub audience: Audience,
}

/// A key just made: the only time that the secret itself is known.
#[derive(Debug)]
pub struct CreatedKey {
    pub secret: String,
    pub key: StreamKey,
}

impl StreamKeys {
    pub fn new(db: Db) -> StreamKeys {
        StreamKeys { db }
    }

    /// Makes a key for `by`, who must be allowed to broadcast.
    pub async fn create(&self, by: &Person, new: NewKey) -> Result<CreatedKey, PeopleError> {
        let label = account::label(&new.label)?;
        let secret = ids::secret_160();
        let key = StreamKey {
            id: ids::public_id(),
            account_id: by.id.clone(),
            label,
            auto_live: new.auto_live,
            audience: new.audience,
            created_at: clock::wall_ms(),
            revoked_at: None,
            used_at: None,
        };
        let (row, hash, by) = (key.clone(), TokenHash::of(&secret), by.username.clone());
        let create = move |tx: &Connection| {
            if stream_keys::count_of(tx, &row.account_id)? >= KEYS_PER_ACCOUNT {
                return Err(PeopleError::TooManyKeys);
            }
            stream_keys::insert(tx, &row, hash)?;
            Ok(audit::record(tx, &by, "stream_key.create", &row.id, &row.label)?)
        };
        self.db.write(move |tx| create(tx)).await?;
        Ok(CreatedKey { secret, key })
    }

    /// The live keys that `by` may see: all for an admin, else one's own.
    pub async fn list(&self, by: &Person, after: Option<String>, limit: u32) -> Result<Page<StreamKey>, PeopleError> {
        let owner = if by.role.is_admin() { None } else { Some(by.id.clone()) };
        let list = move |connection: &Connection| -> Result<_, StoreError> {
            stream_keys::list(connection, owner.as_deref(), after.as_deref(), limit + 1)
        };
        let rows = self.db.read(list).await?;
        Ok(Page::new(rows.ok_or(PeopleError::UnknownCursor)?, limit, |key| &key.id))
    }

    /// Revokes a key of one's own, or as an admin anybody's. Another's key is as good as none.
    pub async fn revoke(&self, by: &Person, id: &str) -> Result<(), PeopleError> {
        let (by, id) = (by.clone(), id.to_string());
        let revoke = move |tx: &Connection| {
            let key = stream_keys::get(tx, &id)?.filter(|key| key.revoked_at.is_none()).ok_or(PeopleError::NoKey)?;
            if key.account_id != by.id && !by.role.is_admin() {
                return Err(PeopleError::NoKey);
            }
            stream_keys::revoke(tx, &id, clock::wall_ms())?;
            Ok(audit::record(tx, &by.username, "stream_key.revoke", &id, &key.label)?)
        };
        self.db.write(move |tx| revoke(tx)).await
    }

    /// Whether a publisher that shows `secret` may publish, and as what. `None` for an unknown or revoked key, and for
    /// one whose account is disabled or may not broadcast any more.
    pub async fn authorise(&self, secret: &str) -> Result<Option<StreamKey>, StoreError> {
        let hash = TokenHash::of(secret);
        let found = self.db.read(move |connection| stream_keys::by_hash(connection, hash)).await?;
        let Some((key, _)) = found.filter(|(_, role)| role.can_broadcast()) else { return Ok(None) };
        let id = key.id.clone();
        let marked = self.db.write(move |tx| stream_keys::mark_used(tx, &id, clock::wall_ms())).await;
        if let Err::<(), StoreError>(error) = marked {
            // A full disk must not keep a camera off the air.
            tracing::warn!(%error, "the use of a stream key could not be written");
        }
        Ok(Some(key))
    }

    /// Whether a publisher that was let in with this key may go on.
    pub async fn is_live(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_string();
        let role = self.db.read(move |connection| stream_keys::owner_role(connection, &id)).await?;
        Ok(role.is_some_and(Role::can_broadcast))
    }
}
