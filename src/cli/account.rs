//! `siaran account …`: accounts without a browser, also while `serve` runs on the same data. Arguments come parsed; a
//! password comes from stdin alone, since others can read a process's arguments.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::accounts::{Role, password};
use crate::people::{Account, Accounts, Changes, NewAccount, Options, PeopleError};
use crate::store::{Db, StoreError, db};

/// Whom the audit list names for what is done here.
const BY: &str = "console";
/// Accounts read at once by `list`.
const PAGE: u32 = 200;

#[derive(Debug, clap::Subcommand)]
pub enum AccountCommand {
    /// Add an account
    Add {
        name: String,
        /// admin, broadcaster or viewer
        #[arg(long)]
        role: Role,
        /// Read the password from the first line of standard input
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// List the accounts
    List,
    /// Keep an account from signing in, and end its sessions
    Disable { name: String },
    /// Let a disabled account sign in again
    Enable { name: String },
    /// Give an account another password, and end its sessions
    Reset {
        name: String,
        /// Read the password from the first line of standard input
        #[arg(long, required = true)]
        password_stdin: bool,
    },
}

/// Why the command did nothing; each is one line.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there are no accounts in {0}: no siaran has run on it")]
    NoData(String),
    #[error("there is no account {0:?}")]
    NoAccount(String),
    #[error("the password could not be read from standard input: {0}")]
    Password(String),
    #[error(transparent)]
    People(PeopleError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Runs a command on the data directory `data`: exit 0, or 1 with one line on stderr when it is refused.
pub fn run(command: AccountCommand, data: &Path) -> ExitCode {
    match execute(command, data, Options::default(), std::io::stdin(), &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the list has seen enough.
        Err(Refusal::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(refusal) => {
            eprintln!("siaran account: {refusal}");
            ExitCode::FAILURE
        }
    }
}

fn execute(
    command: AccountCommand,
    data: &Path,
    options: Options,
    input: impl Read,
    output: &mut impl Write,
) -> Result<(), Refusal> {
    let path = data.join(db::FILE_NAME);
    // A mistyped directory is not filled with a new database, except by what may be the first command of all.
    if !matches!(command, AccountCommand::Add { .. }) && !path.exists() {
        return Err(Refusal::NoData(data.display().to_string()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let accounts = Accounts::open(Db::open(&path)?, data, options).await.map_err(Refusal::People)?;
        perform(command, &accounts, input, output).await
    })
}

async fn perform(
    command: AccountCommand,
    accounts: &Accounts,
    input: impl Read,
    output: &mut impl Write,
) -> Result<(), Refusal> {
    match command {
        AccountCommand::Add { name, role, password_stdin: _ } => {
            let new = NewAccount { username: name, password: read_password(input)?, role };
            let account = accounts.create(BY, new).await.map_err(Refusal::People)?;
            writeln!(output, "added {} ({})", account.username, account.role)?;
        }
        AccountCommand::List => list(accounts, output).await?,
        AccountCommand::Disable { name } => {
            let changes = Changes { disabled: Some(true), ..Changes::default() };
            let account = change(accounts, &name, changes).await?;
            writeln!(output, "disabled {}", account.username)?;
        }
        AccountCommand::Enable { name } => {
            let changes = Changes { disabled: Some(false), ..Changes::default() };
            let account = change(accounts, &name, changes).await?;
            writeln!(output, "enabled {}", account.username)?;
        }
        AccountCommand::Reset { name, password_stdin: _ } => {
            let changes = Changes { password: Some(read_password(input)?), ..Changes::default() };
            let account = change(accounts, &name, changes).await?;
            writeln!(output, "{} has a new password", account.username)?;
        }
    }
    Ok(())
}

async fn change(accounts: &Accounts, name: &str, changes: Changes) -> Result<Account, Refusal> {
    let changed = async { accounts.update(BY, &accounts.find(name).await?.id, changes).await };
    changed.await.map_err(|error| match error {
        PeopleError::NoAccount => Refusal::NoAccount(name.to_string()),
        other => Refusal::People(other),
    })
}

/// One line for each account: name, role, and whether it may sign in; parted by tabs.
async fn list(accounts: &Accounts, output: &mut impl Write) -> Result<(), Refusal> {
    let mut after = None;
    loop {
        let page = accounts.list(after, PAGE).await.map_err(Refusal::People)?;
        for account in &page.items {
            let state = if account.disabled_at.is_some() { "disabled" } else { "enabled" };
            writeln!(output, "{}\t{}\t{state}", account.username, account.role)?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// The first line, without its end; a longer one than a password may be is cut, and then refused as too long.
fn read_password(input: impl Read) -> Result<String, Refusal> {
    let mut line = Vec::new();
    let limit = password::MAX_BYTES as u64 + 3;
    let mut input = BufReader::new(input.take(limit));
    input.read_until(b'\n', &mut line).map_err(|error| Refusal::Password(error.to_string()))?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec()).map_err(|_| Refusal::Password("it is not UTF-8".to_string()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: AccountCommand,
    }

    /// Parses and runs a line as typed; gives what it printed.
    fn siaran(data: &Path, line: &str, input: &str) -> Result<String, String> {
        let parsed = Line::try_parse_from(std::iter::once("account").chain(line.split(' ')));
        let command = parsed.map_err(|error| format!("exit {}", error.exit_code()))?.command;
        let mut output = Vec::new();
        let options = Options { bcrypt_cost: Some(4) };
        execute(command, data, options, input.as_bytes(), &mut output).map_err(|refusal| refusal.to_string())?;
        Ok(String::from_utf8(output).unwrap())
    }

    #[test]
    fn accounts_from_the_console() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("new");
        let run = |line: &str, input: &str| siaran(&data, line, input);
        assert_eq!(
            run("add wati --role admin --password-stdin", "pohon jati\r\nmore").unwrap(),
            "added wati (admin)\n"
        );
        run("add Sri --role viewer --password-stdin", "sungai besar").unwrap();
        assert_eq!(run("disable SRI", "").unwrap(), "disabled Sri\n");
        assert_eq!(run("list", "").unwrap(), "wati\tadmin\tenabled\nSri\tviewer\tdisabled\n");
        run("enable sri", "").unwrap();
        run("reset wati --password-stdin", "gunung tinggi\n").unwrap();
    }

    #[tokio::test]
    async fn a_running_server_sees_each_change_at_once() {
        let house = crate::people::testing::house().await;
        let data = house.directory.path().to_path_buf();
        let run = async |line: &'static str, input: &'static str| {
            let data = data.clone();
            tokio::task::spawn_blocking(move || siaran(&data, line, input)).await.unwrap().unwrap()
        };
        run("add wati --role broadcaster --password-stdin", "pohon jati").await;
        let session = house.try_password("wati", "pohon jati").await.unwrap();
        run("reset wati --password-stdin", "gunung tinggi").await;
        assert!(!house.is_signed_in(&session.token).await);
        assert!(house.try_password("wati", "pohon jati").await.is_err());
        assert!(house.try_password("wati", "gunung tinggi").await.is_ok());
        run("disable wati", "").await;
        assert!(house.try_password("wati", "gunung tinggi").await.is_err());
    }

    #[test]
    fn what_cannot_be_done_is_refused_in_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let run = |line: &str, input: &str| siaran(directory.path(), line, input).unwrap_err();
        assert!(run("list", "").contains("no siaran has run on it"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made");
        siaran(directory.path(), "add wati --role admin --password-stdin", "pohon jati").unwrap();
        assert_eq!(run("disable nobody", ""), "there is no account \"nobody\"");
        assert!(run("disable wati", "").contains("last admin"));
        assert!(run("add Wati --role admin --password-stdin", "pohon jati").contains("taken"));
        assert!(run("add budi --role admin --password-stdin", "").contains("at least 10"));
        assert!(run("add budi --role admin --password-stdin", &"x".repeat(5000)).contains("at most 1024"));
        for line in
            ["add budi --role owner --password-stdin", "add budi --role admin", "add --role admin --password-stdin", ""]
        {
            assert_eq!(run(line, "pohon jati"), "exit 2", "{line}");
        }
    }

    #[test]
    fn a_password_need_not_end_in_a_newline_but_must_be_text() {
        assert_eq!(read_password("a b\n".as_bytes()).unwrap(), "a b");
        assert_eq!(read_password(" a\r\n".as_bytes()).unwrap(), " a");
        assert_eq!(read_password("".as_bytes()).unwrap(), "");
        assert!(read_password(&b"\xff\xfe"[..]).is_err());
    }
}
