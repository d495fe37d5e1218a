//! Accounts, sessions and stream keys as services over the store: who somebody is, and the changes an admin may make.
//! No HTTP here; the rules that need no database stand in `accounts`.

mod manage;
mod setup;
mod sign_in;
mod stream_keys;
mod throttle;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use governor::clock::MonotonicClock;
use tokio::sync::Semaphore;

use crate::accounts::Invalid;
use crate::accounts::password::{self, HashError, Hasher};
use crate::store::{Db, StoreError, secret, settings};

pub use crate::store::accounts::Account;
pub use crate::store::stream_keys::StreamKey;
pub use manage::{Changes, NewAccount};
pub use sign_in::{Attempt, Person, Session, SignInError, SignedIn};
pub use stream_keys::{CreatedKey, NewKey, StreamKeys};
pub use throttle::network;

/// Passwords checked at once: the encoders want the other cores, and a flood of guesses waits in line.
const HASHES_AT_ONCE: usize = 2;
/// The setting that holds the calibrated bcrypt cost.
const COST_SETTING: &str = "bcrypt_cost";

/// Why a change to accounts or keys was refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("This username is taken.")]
    UsernameTaken,
    #[error("The last admin who can sign in must stay an admin who can sign in.")]
    LastAdmin,
    #[error("There is no such account.")]
    NoAccount,
    #[error("There is no such stream key.")]
    NoKey,
    #[error("An account has at most {} stream keys.", stream_keys::KEYS_PER_ACCOUNT)]
    TooManyKeys,
    /// The item that a page was to begin behind is not there.
    #[error("There is no item with the id given as `after`.")]
    UnknownCursor,
    /// The setup address is wrong, used, or of an earlier start.
    #[error("This setup address is not valid any more.")]
    SetupClosed,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// One page of a list; `next` is the `after` of the page behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// From up to `limit + 1` items: the one too many only tells that there are more.
    fn new(mut items: Vec<T>, limit: u32, id: impl Fn(&T) -> &str) -> Page<T> {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = if more { items.last().map(|item| id(item).to_string()) } else { None };
        Page { items, next }
    }
}

/// What may be set from outside.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// bcrypt's cost, 4 to 31; `None`: measured once, to about 300 ms a check, and kept with the data.
    pub bcrypt_cost: Option<u32>,
}

/// The accounts of the box. Clones share one state.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    hasher: Arc<Hasher>,
    /// Checked when a name is unknown, so that the answer takes as long.
    decoy: String,
    hashing: Semaphore,
    throttle: throttle::Throttle,
    setup: setup::Setup,
    /// Whether an admin was ever seen: there always is one from then on.
    has_admin: AtomicBool,
}

impl Accounts {
    /// Takes the secret of the data directory `data` and, at the first start, measures how dear a hash may be.
    pub async fn open(db: Db, data: &Path, options: Options) -> Result<Accounts, PeopleError> {
        let pepper = secret::load(data)?;
        let cost = match options.bcrypt_cost {
            Some(cost) => cost,
            None => cost_of_this_box(&db).await?,
        };
        let hasher = Hasher::new(pepper, cost);
        let inner = Inner {
            decoy: hasher.decoy()?,
            hasher: Arc::new(hasher),
            hashing: Semaphore::new(HASHES_AT_ONCE),
            throttle: throttle::Throttle::new(MonotonicClock),
            setup: setup::Setup::default(),
            has_admin: AtomicBool::new(false),
            db,
        };
        Ok(Accounts { inner: Arc::new(inner) })
    }

    async fn hash(&self, password: String) -> Result<String, PeopleError> {
        self.hashing(move |hasher| hasher.hash(&password)).await
    }

    async fn verify(&self, password: String, hash: String) -> Result<bool, PeopleError> {
        self.hashing(move |hasher| hasher.verify(&password, &hash)).await
    }

    /// Runs `work` on a blocking thread, few at a time.
    async fn hashing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Hasher) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, PeopleError> {
        // The semaphore is never closed; were it, going on without a place in line would be right.
        let _place = self.inner.hashing.acquire().await.ok();
        let hasher = self.inner.hasher.clone();
        match tokio::task::spawn_blocking(move || work(&hasher)).await {
            Ok(result) => Ok(result?),
            Err(_stopped) => Err(StoreError::Closed.into()),
        }
    }
}

async fn cost_of_this_box(db: &Db) -> Result<u32, PeopleError> {
    let kept = db.read::<_, StoreError, _>(|connection| settings::get(connection, COST_SETTING)).await?;
    if let Some(cost) = kept.and_then(|text| text.parse().ok()).filter(|cost| password::COSTS.contains(cost)) {
        return Ok(cost);
    }
    let cost = tokio::task::spawn_blocking(password::calibrate).await.map_err(|_stopped| StoreError::Closed)??;
    db.write::<_, StoreError, _>(move |tx| settings::set(tx, COST_SETTING, &cost.to_string())).await?;
    Ok(cost)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
