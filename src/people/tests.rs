//! The services together, on a real database.

use super::testing::{PASSWORD, attempt, empty_house, house};
use super::*;
use crate::accounts::token::{SESSION_IDLE_MS, Term, TokenHash};
use crate::accounts::{Audience, Role};
use crate::base::clock;
use crate::store::{audit, sessions};

const OTHER_PASSWORD: &str = "sungai dan batu";

#[tokio::test]
async fn a_right_password_begins_a_session() {
    let house = house().await;
    let signed_in = house.try_password(" Admin ", PASSWORD).await.unwrap();
    let session = house.accounts.authenticate(&signed_in.token).await.unwrap().unwrap();
    assert_eq!(session.person, signed_in.person);
    assert_eq!((session.person.username.as_str(), session.person.role), ("admin", Role::Admin));
    assert_eq!(session.csrf, signed_in.csrf);
    house.accounts.sign_out(&session).await.unwrap();
    assert!(!house.is_signed_in(&signed_in.token).await);
}

#[tokio::test]
async fn wrong_unknown_and_disabled_get_one_answer() {
    let house = house().await;
    let id = house.id("viewer").await;
    house.accounts.update("test", &id, Changes { disabled: Some(true), ..Changes::default() }).await.unwrap();
    for (name, password) in [("admin", "wrong password"), ("nobody", PASSWORD), ("viewer", PASSWORD), ("", "")] {
        let answer = house.try_password(name, password).await;
        assert!(matches!(answer, Err(SignInError::Wrong)), "{name}: {answer:?}");
    }
    assert!(!house.is_signed_in("").await && !house.is_signed_in(&"x".repeat(52)).await);
}

#[tokio::test]
async fn a_sign_in_replaces_the_browsers_old_session() {
    let house = house().await;
    let old = house.sign_in("admin").await;
    let new =
        house.accounts.sign_in(Attempt { replaces: Some(old.token.clone()), ..attempt("viewer", PASSWORD) }).await;
    let new = new.unwrap();
    assert_ne!(old.token, new.token);
    assert_ne!(old.csrf, new.csrf);
    assert!(!house.is_signed_in(&old.token).await);
    assert!(house.is_signed_in(&new.token).await);
}

#[tokio::test]
async fn strangers_are_throttled_and_the_owner_is_not() {
    let house = house().await;
    let owner = house.sign_in("admin").await;
    let refused = loop {
        match house.try_password("admin", "a guess of mine").await {
            Err(SignInError::Wrong) => continue,
            other => break other.unwrap_err(),
        }
    };
    assert!((1..=10).contains(&refused.retry_after_s().unwrap()));
    let right = house.try_password("admin", PASSWORD).await;
    assert!(matches!(right, Err(SignInError::Throttled(_))), "a right guess does not show while throttled");
    let known = Attempt { device: Some(owner.device), ..attempt("admin", PASSWORD) };
    assert!(house.accounts.sign_in(known).await.is_ok(), "the same address, with the device's cookie");
    let elsewhere = Attempt { address: [10, 0, 0, 2].into(), ..attempt("admin", PASSWORD) };
    assert!(house.accounts.sign_in(elsewhere).await.is_ok());
    assert!(house.try_password("viewer", PASSWORD).await.is_ok(), "another name from the same address");
}

#[tokio::test]
async fn a_device_serves_several_people_and_is_known_to_each() {
    let house = house().await;
    let first = house.sign_in("admin").await;
    let second =
        house.accounts.sign_in(Attempt { device: Some(first.device.clone()), ..attempt("viewer", PASSWORD) }).await;
    assert_eq!(second.unwrap().device, first.device);
    let forged = Attempt { device: Some("short".to_string()), ..attempt("viewer", PASSWORD) };
    assert_ne!(house.accounts.sign_in(forged).await.unwrap().device, "short");
}

#[tokio::test]
async fn sessions_end_when_idle_and_are_kept_alive_by_use() {
    let house = house().await;
    let token = house.sign_in("admin").await.token;
    let hash = TokenHash::of(&token);
    let term = async || house.db.read(move |c| sessions::get(c, hash)).await.unwrap().unwrap().term;
    let seen = async |seen_ms: i64| {
        let term = Term { seen_ms, ..term().await };
        house.db.write(move |tx| sessions::set_term(tx, hash, &term)).await.unwrap();
    };
    let now = clock::moment().monotonic_ms;
    seen(now - SESSION_IDLE_MS / 2).await;
    assert!(house.is_signed_in(&token).await);
    assert!(term().await.seen_ms >= now, "use was noted");
    seen(now - SESSION_IDLE_MS).await;
    assert!(!house.is_signed_in(&token).await);
}

#[tokio::test]
async fn what_changes_rights_ends_sessions_and_a_name_does_not() {
    let house = house().await;
    let id = house.id("broadcaster").await;
    let change = async |changes: Changes, password: &str, lives: bool| {
        let token = house.try_password("broadcaster", password).await.unwrap().token;
        let what = format!("{changes:?}");
        house.accounts.update("admin", &id, changes).await.unwrap();
        assert_eq!(house.is_signed_in(&token).await, lives, "{what}");
    };
    let none = Changes::default;
    change(Changes { username: Some("Broadcaster".into()), ..none() }, PASSWORD, true).await;
    change(Changes { role: Some(Role::Broadcaster), disabled: Some(false), ..none() }, PASSWORD, true).await;
    change(Changes { role: Some(Role::Viewer), ..none() }, PASSWORD, false).await;
    change(Changes { password: Some(OTHER_PASSWORD.into()), ..none() }, PASSWORD, false).await;
    change(Changes { disabled: Some(true), ..none() }, OTHER_PASSWORD, false).await;
    house.accounts.update("admin", &id, Changes { disabled: Some(false), ..none() }).await.unwrap();
    assert!(house.try_password("broadcaster", PASSWORD).await.is_err());
    let token = house.try_password("broadcaster", OTHER_PASSWORD).await.unwrap().token;
    house.accounts.delete("admin", &id).await.unwrap();
    assert!(!house.is_signed_in(&token).await);
}

#[tokio::test]
async fn the_last_admin_stays() {
    let house = house().await;
    let first = house.id("admin").await;
    let ways = || {
        [
            Changes { role: Some(Role::Broadcaster), ..Changes::default() },
            Changes { disabled: Some(true), username: Some("changed".into()), ..Changes::default() },
        ]
    };
    for changes in ways() {
        let answer = house.accounts.update("admin", &first, changes).await;
        assert!(matches!(answer, Err(PeopleError::LastAdmin)), "{answer:?}");
    }
    assert!(matches!(house.accounts.delete("admin", &first).await, Err(PeopleError::LastAdmin)));
    assert_eq!(house.accounts.get(&first).await.unwrap().username, "admin", "nothing was changed");

    let second = house.add("second", Role::Admin).await;
    house
        .accounts
        .update("admin", &first, Changes { role: Some(Role::Broadcaster), ..Changes::default() })
        .await
        .unwrap();
    assert!(matches!(house.accounts.delete("admin", &second).await, Err(PeopleError::LastAdmin)));
    house.accounts.delete("admin", &first).await.unwrap();
}

#[tokio::test]
async fn unfit_input_changes_nothing() {
    let house = house().await;
    let id = house.id("viewer").await;
    let new = |username: &str, password: &str| NewAccount {
        username: username.to_string(),
        password: password.to_string(),
        role: Role::Viewer,
    };
    let refused = house.accounts.create("admin", new("VIEWER", PASSWORD)).await;
    assert!(matches!(refused, Err(PeopleError::UsernameTaken)));
    let refused = house.accounts.create("admin", new("x", PASSWORD)).await;
    assert!(matches!(refused, Err(PeopleError::Invalid(Invalid::UsernameLength))));
    let refused = house.accounts.create("admin", new("new", "short")).await;
    assert!(matches!(refused, Err(PeopleError::Invalid(Invalid::PasswordTooShort))));
    let rename = Changes { username: Some("admin".into()), role: Some(Role::Admin), ..Changes::default() };
    assert!(matches!(house.accounts.update("admin", &id, rename).await, Err(PeopleError::UsernameTaken)));
    assert_eq!(house.accounts.get(&id).await.unwrap().role, Role::Viewer);
    let missing = house.accounts.update("admin", "nobody", Changes::default()).await;
    assert!(matches!(missing, Err(PeopleError::NoAccount)));
    assert_eq!(house.accounts.list(None, 10).await.unwrap().items.len(), 3);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let house = house().await;
    let first = house.accounts.list(None, 2).await.unwrap();
    let second = house.accounts.list(first.next.clone(), 2).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next), (2, 1, None));
    assert_eq!(house.accounts.list(None, 3).await.unwrap().next, None);
    let unknown = house.accounts.list(Some("nobody".to_string()), 2).await;
    assert!(matches!(unknown, Err(PeopleError::UnknownCursor)));
}

#[tokio::test]
async fn setup_works_once() {
    let house = empty_house().await;
    assert!(house.accounts.needs_setup().await.unwrap());
    let stale = house.accounts.begin_setup().await.unwrap().unwrap();
    let token = house.accounts.begin_setup().await.unwrap().unwrap();
    let finish = async |token: &str, password: &str| {
        house.accounts.finish_setup(token, "wati".to_string(), password.to_string()).await
    };
    assert!(matches!(finish(&stale, PASSWORD).await, Err(PeopleError::SetupClosed)));
    assert!(matches!(finish(&token, "short").await, Err(PeopleError::Invalid(_))));
    assert!(house.accounts.setup_admits(&token).await.unwrap(), "a mistake leaves it open");
    assert_eq!(finish(&token, PASSWORD).await.unwrap().role, Role::Admin);
    assert!(matches!(finish(&token, PASSWORD).await, Err(PeopleError::SetupClosed)));
    assert!(!house.accounts.needs_setup().await.unwrap());
    assert_eq!(house.accounts.begin_setup().await.unwrap(), None);
}

#[tokio::test]
async fn an_admin_from_the_command_line_closes_setup_a_viewer_does_not() {
    let house = empty_house().await;
    let token = house.accounts.begin_setup().await.unwrap().unwrap();
    // `siaran account` is another process: another service on the same data.
    let cost = Options { bcrypt_cost: Some(4) };
    let other = Accounts::open(house.db.clone(), house.directory.path(), cost).await.unwrap();
    let new = |name: &str, role| NewAccount { username: name.into(), password: PASSWORD.into(), role };
    other.create("console", new("viewer", Role::Viewer)).await.unwrap();
    assert!(house.accounts.needs_setup().await.unwrap());
    other.create("console", new("admin", Role::Admin)).await.unwrap();
    assert!(!house.accounts.setup_admits(&token).await.unwrap());
    assert!(house.try_password("admin", PASSWORD).await.is_ok(), "both have the same pepper");
}

#[tokio::test]
async fn a_stream_key_is_good_until_revoked() {
    let house = house().await;
    let person = house.sign_in("broadcaster").await.person;
    let new = NewKey { label: " Ruang 1 ".into(), auto_live: false, audience: Audience::Staff };
    let made = house.keys.create(&person, new).await.unwrap();
    assert_eq!(made.secret.len(), 32);
    let found = house.keys.authorise(&made.secret).await.unwrap().unwrap();
    assert_eq!((found.label.as_str(), found.auto_live, found.audience), ("Ruang 1", false, Audience::Staff));
    assert!(house.keys.list(&person, None, 10).await.unwrap().items[0].used_at.is_some());
    assert!(house.keys.authorise(&made.key.id).await.unwrap().is_none(), "the public id is not the key");
    house.keys.revoke(&person, &made.key.id).await.unwrap();
    assert!(house.keys.authorise(&made.secret).await.unwrap().is_none());
    assert!(matches!(house.keys.revoke(&person, &made.key.id).await, Err(PeopleError::NoKey)));
    assert!(house.keys.list(&person, None, 10).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_stream_key_follows_its_account() {
    let house = house().await;
    let person = house.sign_in("broadcaster").await.person;
    let new = NewKey { label: "OBS".into(), auto_live: true, audience: Audience::Public };
    let made = house.keys.create(&person, new).await.unwrap();
    let steps = [
        (Changes { disabled: Some(true), ..Changes::default() }, false),
        (Changes { disabled: Some(false), ..Changes::default() }, true),
        (Changes { role: Some(Role::Viewer), ..Changes::default() }, false),
    ];
    for (changes, good) in steps {
        let what = format!("{changes:?}");
        house.accounts.update("admin", &person.id, changes).await.unwrap();
        assert_eq!(house.keys.authorise(&made.secret).await.unwrap().is_some(), good, "{what}");
    }
}

#[tokio::test]
async fn keys_are_their_owners_and_the_admins() {
    let house = house().await;
    house.add("other", Role::Broadcaster).await;
    let (owner, other, admin) = (
        house.sign_in("broadcaster").await.person,
        house.sign_in("other").await.person,
        house.sign_in("admin").await.person,
    );
    let new = NewKey { label: "OBS".into(), auto_live: true, audience: Audience::Public };
    let id = house.keys.create(&owner, new.clone()).await.unwrap().key.id;
    assert!(house.keys.list(&other, None, 10).await.unwrap().items.is_empty());
    assert_eq!(house.keys.list(&admin, None, 10).await.unwrap().items.len(), 1);
    assert!(matches!(house.keys.revoke(&other, &id).await, Err(PeopleError::NoKey)));
    house.keys.revoke(&admin, &id).await.unwrap();
    let bad = house.keys.create(&owner, NewKey { label: "\n".into(), ..new }).await;
    assert!(matches!(bad, Err(PeopleError::Invalid(Invalid::LabelLength))));
}

#[tokio::test]
async fn deeds_are_in_the_audit_list_and_secrets_are_not() {
    let house = house().await;
    let id = house.id("viewer").await;
    house.accounts.reset_password("admin", &id, OTHER_PASSWORD.to_string()).await.unwrap();
    let lines = house.db.read(|connection| audit::list(connection, None, 100)).await.unwrap();
    let newest = &lines[0];
    assert_eq!(
        (newest.account.as_str(), newest.action.as_str(), newest.subject.as_str(), newest.detail.as_str()),
        ("admin", "account.update", "viewer", "password")
    );
    assert!(!format!("{lines:?}").contains(OTHER_PASSWORD));
}

#[tokio::test]
async fn the_cost_is_measured_once_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(&directory.path().join("x.db")).unwrap();
    drop(Accounts::open(db.clone(), directory.path(), Options::default()).await.unwrap());
    let kept = db.read(|connection| settings::get(connection, COST_SETTING)).await.unwrap().unwrap();
    assert!(password::COSTS.contains(&kept.parse::<u32>().unwrap()));
    db.write(|tx| settings::set(tx, COST_SETTING, "11")).await.unwrap();
    assert_eq!(cost_of_this_box(&db).await.unwrap(), 11);
}
