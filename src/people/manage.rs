//! What an admin does with accounts. Every change is one transaction together with its line in the audit list.

use super::{Account, Accounts, Page, PeopleError};
use crate::accounts::{Role, Username, account, password};
use crate::base::{clock, ids};
use crate::store::{Connection, StoreError, accounts, audit, sessions};

/// A new account as typed.
#[derive(Debug)]
pub struct NewAccount {
    pub username: String,
    pub password: String,
    pub role: Role,
}

/// Changes to an account as typed; `None` leaves a thing as it is.
#[derive(Debug, Default)]
pub struct Changes {
    pub username: Option<String>,
    pub password: Option<String>,
    pub role: Option<Role>,
    pub disabled: Option<bool>,
}

/// [`Changes`] after their checks, the password hashed.
struct Checked {
    username: Option<Username>,
    hash: Option<String>,
    role: Option<Role>,
    disabled: Option<bool>,
}

impl Accounts {
    /// Adds an account. `by` is the name of who does it, for the audit list.
    pub async fn create(&self, by: &str, new: NewAccount) -> Result<Account, PeopleError> {
        self.create_if(by, new, |_| Ok(())).await
    }

    /// [`Accounts::create`] under a condition checked in the same transaction.
    pub(super) async fn create_if(
        &self,
        by: &str,
        new: NewAccount,
        condition: impl FnOnce(&Connection) -> Result<(), PeopleError> + Send + 'static,
    ) -> Result<Account, PeopleError> {
        let username = Username::new(&new.username)?;
        password::check(&new.password, &username)?;
        let hash = self.hash(new.password).await?;
        let (by, role, id) = (by.to_string(), new.role, ids::public_id());
        let create = move |tx: &Connection| {
            condition(tx)?;
            let now = clock::wall_ms();
            accounts::insert(tx, &id, &username, role, &hash, now).map_err(taken)?;
            audit::record(tx, &by, "account.create", username.as_str(), &format!("role={role}"))?;
            accounts::get(tx, &id)?.ok_or(PeopleError::NoAccount)
        };
        self.inner.db.write(move |tx| create(tx)).await
    }

    /// At most `limit` accounts behind account `after`, in the order of their making.
    pub async fn list(&self, after: Option<String>, limit: u32) -> Result<Page<Account>, PeopleError> {
        let rows = self.inner.db.read(move |connection| accounts::list(connection, after.as_deref(), limit + 1));
        let rows: Option<Vec<Account>> = rows.await.map_err(|error: StoreError| error)?;
        Ok(Page::new(rows.ok_or(PeopleError::UnknownCursor)?, limit, |account| &account.id))
    }

    pub async fn get(&self, id: &str) -> Result<Account, PeopleError> {
        let id = id.to_string();
        let account: Result<_, StoreError> = self.inner.db.read(move |connection| accounts::get(connection, &id)).await;
        account?.ok_or(PeopleError::NoAccount)
    }

    /// The account of that name, in whatever case.
    pub async fn find(&self, username: &str) -> Result<Account, PeopleError> {
        let key = account::username_key(username);
        let found: Result<_, StoreError> =
            self.inner.db.read(move |connection| accounts::by_key(connection, &key)).await;
        found?.ok_or(PeopleError::NoAccount)
    }

    /// Makes all changes or none. A new password or role, and disabling, end the account's sessions at once.
    pub async fn update(&self, by: &str, id: &str, changes: Changes) -> Result<Account, PeopleError> {
        let checked = self.check(id, changes).await?;
        let (by, id) = (by.to_string(), id.to_string());
        self.inner.db.write(move |tx| apply(tx, &by, &id, checked)).await
    }

    /// Gives an account another password.
    pub async fn reset_password(&self, by: &str, id: &str, password: String) -> Result<Account, PeopleError> {
        self.update(by, id, Changes { password: Some(password), ..Changes::default() }).await
    }

    /// Removes an account with its sessions and stream keys; its broadcasts stay.
    pub async fn delete(&self, by: &str, id: &str) -> Result<(), PeopleError> {
        let (by, id) = (by.to_string(), id.to_string());
        let delete = move |tx: &Connection| {
            let account = accounts::get(tx, &id)?.ok_or(PeopleError::NoAccount)?;
            accounts::delete(tx, &id)?;
            keep_an_admin(tx, &account)?;
            Ok(audit::record(tx, &by, "account.delete", &account.username, "")?)
        };
        self.inner.db.write(move |tx| delete(tx)).await
    }

    async fn check(&self, id: &str, changes: Changes) -> Result<Checked, PeopleError> {
        let account = self.get(id).await?;
        let username = changes.username.as_deref().map(Username::new).transpose()?;
        let hash = match changes.password {
            None => None,
            Some(password) => {
                let current = Username::new(&account.username)?;
                password::check(&password, username.as_ref().unwrap_or(&current))?;
                Some(self.hash(password).await?)
            }
        };
        Ok(Checked { username, hash, role: changes.role, disabled: changes.disabled })
    }
}

fn apply(tx: &Connection, by: &str, id: &str, changes: Checked) -> Result<Account, PeopleError> {
    let before = accounts::get(tx, id)?.ok_or(PeopleError::NoAccount)?;
    let mut done = Vec::new();
    let mut sign_out = false;
    if let Some(username) = changes.username.filter(|username| username.as_str() != before.username) {
        accounts::rename(tx, id, &username).map_err(taken)?;
        done.push(format!("username={}", username.as_str()));
    }
    if let Some(role) = changes.role.filter(|role| *role != before.role) {
        accounts::set_role(tx, id, role)?;
        done.push(format!("role={role}"));
        sign_out = true;
    }
    if let Some(hash) = changes.hash {
        accounts::set_password_hash(tx, id, &hash)?;
        sessions::forget_devices(tx, id)?;
        done.push("password".to_string());
        sign_out = true;
    }
    if let Some(disabled) = changes.disabled.filter(|disabled| *disabled != before.disabled_at.is_some()) {
        accounts::set_disabled(tx, id, disabled.then(clock::wall_ms))?;
        done.push(format!("disabled={disabled}"));
        sign_out = true;
    }
    if sign_out {
        sessions::delete_of_account(tx, id)?;
    }
    keep_an_admin(tx, &before)?;
    if !done.is_empty() {
        audit::record(tx, by, "account.update", &before.username, &done.join(" "))?;
    }
    accounts::get(tx, id)?.ok_or(PeopleError::NoAccount)
}

/// Refuses, after the fact but inside the transaction, a change that leaves no admin who can sign in.
fn keep_an_admin(tx: &Connection, before: &Account) -> Result<(), PeopleError> {
    let was_one = before.role.is_admin() && before.disabled_at.is_none();
    if was_one && accounts::enabled_admins(tx)? == 0 { Err(PeopleError::LastAdmin) } else { Ok(()) }
}

fn taken(error: StoreError) -> PeopleError {
    if error.is_duplicate() { PeopleError::UsernameTaken } else { error.into() }
}
