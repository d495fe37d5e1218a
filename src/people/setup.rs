//! The first start: a one-time address that makes the first admin, and nothing else until then.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::{Account, Accounts, NewAccount, PeopleError};
use crate::accounts::Role;
use crate::accounts::token::TokenHash;
use crate::base::ids;
use crate::store::{Connection, StoreError, accounts};

/// The hash of the one valid token, in memory alone: a restart makes another.
#[derive(Default)]
pub(super) struct Setup {
    token: Mutex<Option<TokenHash>>,
}

impl Setup {
    fn replace(&self, token: Option<TokenHash>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    fn admits(&self, token: &str) -> bool {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) == Some(TokenHash::of(token))
    }
}

impl Accounts {
    /// Whether nobody can administer this box yet; until then only setup is open.
    pub async fn needs_setup(&self) -> Result<bool, StoreError> {
        if self.inner.has_admin.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let admins = self.inner.db.read(accounts::enabled_admins).await?;
        // Once there is one there always is one (the last admin is kept), so the answer may be remembered.
        self.inner.has_admin.store(admins > 0, Ordering::Relaxed);
        Ok(admins == 0)
    }

    /// The token of a new setup address (`/setup/{token}`), which replaces an earlier one; `None` when there is an admin.
    pub async fn begin_setup(&self) -> Result<Option<String>, StoreError> {
        if !self.needs_setup().await? {
            return Ok(None);
        }
        let token = ids::secret_256();
        self.inner.setup.replace(Some(TokenHash::of(&token)));
        Ok(Some(token))
    }

    /// Whether this is the token of the setup address and setup is still open.
    pub async fn setup_admits(&self, token: &str) -> Result<bool, StoreError> {
        Ok(self.inner.setup.admits(token) && self.needs_setup().await?)
    }

    /// Makes the first admin; the address is void from then on.
    ///
    /// # Errors
    /// [`PeopleError::SetupClosed`] for a wrong or used token; an unfit name or password leaves it open.
    pub async fn finish_setup(&self, token: &str, username: String, password: String) -> Result<Account, PeopleError> {
        if !self.setup_admits(token).await? {
            return Err(PeopleError::SetupClosed);
        }
        let first = NewAccount { username, password, role: Role::Admin };
        let no_admin_yet = |tx: &Connection| match accounts::enabled_admins(tx)? {
            0 => Ok(()),
            _ => Err(PeopleError::SetupClosed),
        };
        let account = self.create_if("setup", first, no_admin_yet).await?;
        self.inner.setup.replace(None);
        Ok(account)
    }
}
