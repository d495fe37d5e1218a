//! A box with people, for tests here and in `web`.

use std::net::IpAddr;
use std::time::Duration;

use super::{Accounts, Attempt, NewAccount, Options, SignInError, SignedIn, StreamKeys};
use crate::accounts::Role;
use crate::store::{Db, db};

pub const PASSWORD: &str = "pohon jati tua";

/// A data directory of its own, with cheap hashes.
pub struct House {
    pub directory: tempfile::TempDir,
    pub db: Db,
    pub accounts: Accounts,
    pub keys: StreamKeys,
}

pub async fn empty_house() -> House {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open_with(&directory.path().join(db::FILE_NAME), Duration::from_millis(100)).unwrap();
    let options = Options { bcrypt_cost: Some(4) };
    let accounts = Accounts::open(db.clone(), directory.path(), options).await.unwrap();
    House { directory, accounts, keys: StreamKeys::new(db.clone()), db }
}

/// With one account of each role, named after it, all with [`PASSWORD`].
pub async fn house() -> House {
    let house = empty_house().await;
    for role in Role::ALL {
        house.add(role.as_str(), role).await;
    }
    house
}

impl House {
    /// Adds an account and returns its id.
    pub async fn add(&self, name: &str, role: Role) -> String {
        let new = NewAccount { username: name.to_string(), password: PASSWORD.to_string(), role };
        self.accounts.create("test", new).await.unwrap().id
    }

    pub async fn id(&self, name: &str) -> String {
        self.accounts.find(name).await.unwrap().id
    }

    pub async fn sign_in(&self, name: &str) -> SignedIn {
        self.accounts.sign_in(attempt(name, PASSWORD)).await.unwrap()
    }

    pub async fn is_signed_in(&self, token: &str) -> bool {
        self.accounts.authenticate(token).await.unwrap().is_some()
    }

    pub async fn try_password(&self, name: &str, password: &str) -> Result<SignedIn, SignInError> {
        self.accounts.sign_in(attempt(name, password)).await
    }
}

pub fn attempt(name: &str, password: &str) -> Attempt {
    Attempt {
        username: name.to_string(),
        password: password.to_string(),
        address: IpAddr::from([10, 0, 0, 1]),
        device: None,
        replaces: None,
    }
}
