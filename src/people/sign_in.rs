//! Signing in and out, and knowing who a request is from.

use std::net::IpAddr;
use std::time::Duration;

use super::throttle::Who;
use super::{Accounts, PeopleError};
use crate::accounts::token::{Term, TokenHash};
use crate::accounts::{Role, account};
use crate::base::{clock, ids};
use crate::store::{Connection, StoreError, accounts, sessions};

/// That a session is used is written at most this often, to spare the disk.
const TOUCH_EVERY_MS: i64 = 10 * 60_000;

/// One try at signing in.
#[derive(Debug)]
pub struct Attempt {
    pub username: String,
    pub password: String,
    pub address: IpAddr,
    /// What the browser's device cookie holds.
    pub device: Option<String>,
    /// The token of the session that the browser had until now; it ends with a successful sign-in.
    pub replaces: Option<String>,
}

/// A new session. `token` and `device` are secrets for the browser alone.
#[derive(Debug)]
pub struct SignedIn {
    pub token: String,
    pub csrf: String,
    pub device: String,
    pub person: Person,
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: String,
    pub username: String,
    pub role: Role,
}

/// A session that holds now.
#[derive(Debug, Clone)]
pub struct Session {
    pub person: Person,
    /// What unsafe requests of this session must repeat.
    pub csrf: String,
    token: TokenHash,
}

#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// One answer for a wrong password, an unknown name and a disabled account.
    #[error("The username or the password is wrong.")]
    Wrong,
    #[error("Too many attempts. Try again in {} s.", whole_seconds(.0))]
    Throttled(Duration),
    #[error(transparent)]
    Failed(#[from] PeopleError),
}

impl SignInError {
    /// For `Retry-After`: whole seconds, at least 1; `None` when waiting is not the matter.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            SignInError::Throttled(wait) => Some(whole_seconds(wait)),
            _ => None,
        }
    }
}

fn whole_seconds(wait: &Duration) -> u64 {
    (wait.as_millis().div_ceil(1000) as u64).max(1)
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> SignInError {
        SignInError::Failed(error.into())
    }
}

/// An account as sign-in needs it.
struct Candidate {
    id: String,
    hash: String,
    enabled: bool,
    device: Option<TokenHash>,
}

impl Accounts {
    /// Checks a password and begins a session. Unknown names take as long as known ones.
    pub async fn sign_in(&self, attempt: Attempt) -> Result<SignedIn, SignInError> {
        let name = account::username_key(&attempt.username);
        let candidate = self.candidate(name.clone(), attempt.device.clone()).await?;
        let device = candidate.as_ref().and_then(|candidate| candidate.device);
        let who = Who { name: TokenHash::of(&name), address: attempt.address, device };
        self.inner.throttle.check(who).map_err(SignInError::Throttled)?;

        let hash = candidate.as_ref().map_or(&self.inner.decoy, |candidate| &candidate.hash).clone();
        let fits = self.verify(attempt.password, hash).await?;
        let Some(candidate) = candidate.filter(|candidate| fits && candidate.enabled) else {
            // Not the name: people type passwords into the wrong field.
            tracing::info!(address = %attempt.address, "a sign-in was refused");
            return Err(SignInError::Wrong);
        };
        let signed_in = self.begin_session(candidate, attempt.device, attempt.replaces).await?;
        self.inner.throttle.forgive(who);
        Ok(signed_in)
    }

    async fn candidate(&self, name: String, device: Option<String>) -> Result<Option<Candidate>, StoreError> {
        let find = move |connection: &Connection| -> Result<Option<Candidate>, StoreError> {
            let Some(account) = accounts::by_key(connection, &name)? else { return Ok(None) };
            let Some(hash) = accounts::password_hash(connection, &account.id)? else { return Ok(None) };
            let device = match device.map(|device| TokenHash::of_device(&device, &account.id)) {
                Some(device) if sessions::is_known_device(connection, device, &account.id)? => Some(device),
                _ => None,
            };
            Ok(Some(Candidate { id: account.id, hash, enabled: account.disabled_at.is_none(), device }))
        };
        self.inner.db.read(find).await
    }

    async fn begin_session(
        &self,
        candidate: Candidate,
        device: Option<String>,
        replaces: Option<String>,
    ) -> Result<SignedIn, SignInError> {
        let token = ids::secret_256();
        let csrf = ids::secret_256();
        let device = device.filter(|device| looks_like_secret(device)).unwrap_or_else(ids::secret_256);
        let begin = move |tx: &Connection| -> Result<SignedIn, SignInError> {
            let now = clock::moment();
            // The password or the account may have changed while the hash was being checked.
            let unchanged = accounts::password_hash(tx, &candidate.id)?.is_some_and(|hash| hash == candidate.hash);
            let account = accounts::get(tx, &candidate.id)?.filter(|account| account.disabled_at.is_none());
            let Some(account) = account.filter(|_| unchanged) else { return Err(SignInError::Wrong) };
            sessions::delete_ended(tx, &now)?;
            if let Some(old) = replaces {
                sessions::delete(tx, TokenHash::of(&old))?;
            }
            sessions::insert(tx, TokenHash::of(&token), &account.id, &csrf, &now)?;
            sessions::know_device(tx, TokenHash::of_device(&device, &account.id), &account.id, now.wall_ms)?;
            let person = Person { id: account.id, username: account.username, role: account.role };
            Ok(SignedIn { token, csrf, device, person })
        };
        self.inner.db.write(move |tx| begin(tx)).await
    }

    /// The session of a token, if it holds.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Session>, StoreError> {
        if !looks_like_secret(token) {
            return Ok(None);
        }
        self.session(TokenHash::of(token)).await
    }

    /// The session as it stands now, for answers that last: it may have ended, or its role changed, since they began.
    pub async fn renewed(&self, session: &Session) -> Result<Option<Session>, StoreError> {
        self.session(session.token).await
    }

    async fn session(&self, token: TokenHash) -> Result<Option<Session>, StoreError> {
        let Some(row) = self.inner.db.read(move |connection| sessions::get(connection, token)).await? else {
            return Ok(None);
        };
        let now = clock::moment();
        let Some(term) = row.term.at(&now) else { return Ok(None) };
        if row.term.boot != term.boot || now.monotonic_ms - term.seen_ms >= TOUCH_EVERY_MS {
            self.touch(token, term.touched(&now)).await;
        }
        let person = Person { id: row.account_id, username: row.username, role: row.role };
        Ok(Some(Session { person, csrf: row.csrf, token }))
    }

    /// Somebody who is signed in stays so on a full disk: a failure here only costs idle time.
    async fn touch(&self, token: TokenHash, term: Term) {
        let touched: Result<(), StoreError> = self.inner.db.write(move |tx| sessions::set_term(tx, token, &term)).await;
        if let Err(error) = touched {
            tracing::warn!(%error, "a session's time could not be written");
        }
    }

    /// Ends a session at once.
    pub async fn sign_out(&self, session: &Session) -> Result<(), StoreError> {
        let token = session.token;
        self.inner.db.write(move |tx| sessions::delete(tx, token)).await
    }
}

/// Whether `text` has the shape of a 256-bit secret of ours, so that nonsense does not reach the database.
fn looks_like_secret(text: &str) -> bool {
    text.len() == 52 && ids::is_id(text)
}
