//! Certificates that are obtained by ACME (RFC 8555): ordered when there is none, renewed when the authority suggests it
//! (ARI, RFC 9773) or after two thirds of their time, and tried again and again where that fails. What is served stays
//! until there is something better.

mod client;
mod kept;
mod order;
pub(crate) mod troubles;

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use aivonx_config::{self as config, Config};
use aivonx_gateway::{Acme, Obtained};
use instant_acme::{Account, CertificateIdentifier, Error};
use jiff::{SignedDuration, Timestamp};

use self::{
    client::Client,
    kept::{AccountFile, put},
    order::{ObtainError, obtain},
};
use crate::certificates::Certificates;

/// Longest time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(600);

/// Longest sleep: the clock of the machine may be set, and the authority's suggestion change.
const LOOK: Duration = Duration::from_secs(3600);

/// Wait after the first failure, unless the authority says how long to stay away; twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(12 * 3600);

/// Where the account and the certificates of the configured authority are kept.
pub(crate) fn directory(config: &Config) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' };
    let url = config.acme.directory.trim_start_matches("https://");
    config.data_dir.join("acme").join(url.chars().map(plain).collect::<String>())
}

/// Obtains and renews the certificates of the listeners from now on.
pub(crate) fn keep_renewed(config: &Config, acme: Arc<Acme>, certificates: Certificates) {
    let mut managed: Vec<Managed> = Vec::new();
    for names in config.listen.iter().map(|listen| &listen.acme).filter(|names| !names.is_empty()) {
        let file = acme.file(names);
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        // Listeners whose names begin with the same share one for all of them.
        match managed.iter_mut().find(|managed| managed.file == file) {
            Some(shared) => shared.names.extend(names),
            None => {
                managed.push(Managed { names: names.collect(), file, due: Timestamp::now(), failures: 0 })
            }
        }
    }
    if managed.is_empty() {
        return;
    }
    for shared in &mut managed {
        let mut seen = HashSet::new();
        shared.names.retain(|name| seen.insert(name.clone()));
    }
    let account = AccountFile::new(&directory(config), &config.acme);
    let renewal =
        Renewal { config: config.acme.clone(), account, client: None, open: None, acme, certificates };
    tokio::spawn(renewal.run(managed));
}

/// One certificate that is obtained.
struct Managed {
    /// Lower case.
    names: Vec<String>,
    file: PathBuf,
    /// When it is looked at next.
    due: Timestamp,
    /// Failed attempts in a row.
    failures: u32,
}

struct Renewal {
    config: config::Acme,
    account: AccountFile,
    /// In use, once they were needed.
    client: Option<Client>,
    open: Option<Account>,
    acme: Arc<Acme>,
    certificates: Certificates,
}

/// When a certificate is to be renewed.
struct Renew {
    at: Timestamp,
    /// It is named in the order that replaces it, where the authority knows that.
    replaces: Option<CertificateIdentifier<'static>>,
}

impl Renewal {
    async fn run(mut self, mut managed: Vec<Managed>) {
        loop {
            for one in &mut managed {
                if one.due <= Timestamp::now() {
                    self.turn(one).await;
                }
            }
            let next = managed.iter().map(|one| one.due).min().unwrap_or_default();
            let wait = Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default();
            tokio::time::sleep(wait.min(LOOK)).await;
        }
    }

    /// Looks at one certificate, and obtains another if it is time.
    async fn turn(&mut self, one: &mut Managed) {
        let held = Obtained::read(&one.file).ok().filter(|held| is_for(held, &one.names));
        let renew = match &held {
            Some(held) => self.renew(held).await,
            None => Renew { at: Timestamp::now(), replaces: None },
        };
        if renew.at > Timestamp::now() {
            one.due = renew.at.min(after(LOOK));
            return self.fine(one);
        }
        // What the authority does not take as a replacement it may take as something new.
        let replaces = renew.replaces.filter(|_| one.failures == 0);
        let attempt = tokio::time::timeout(ATTEMPT, self.obtain(one, replaces)).await;
        match attempt.unwrap_or(Err(ObtainError::TimedOut(ATTEMPT))) {
            Ok(new) => {
                let names = one.names.join(", ");
                tracing::info!(event = "certificate_obtained", until = %format_args!("{:.0}", new.until), "a certificate for {names} was obtained");
                // What cannot be served is logged.
                let _ = self.certificates.reload();
                one.failures = 0;
                // However short-lived it is, the authority is not asked without a pause.
                let lifetime = Duration::try_from(new.until.duration_since(new.from)).unwrap_or_default();
                one.due = after((lifetime / 10).min(LOOK));
                self.fine(one);
            }
            Err(error) => self.failed(one, held.as_ref(), &error),
        }
    }

    fn fine(&self, one: &Managed) {
        self.certificates.troubles().ended(&one.names[0]);
    }

    fn failed(&mut self, one: &mut Managed, held: Option<&Obtained>, error: &ObtainError) {
        one.failures = one.failures.saturating_add(1);
        let asked = self.client.as_ref().map(Client::leave_alone).unwrap_or_default();
        let kind = match error {
            ObtainError::Authority(Error::Api(problem)) => problem.r#type.as_deref().unwrap_or_default(),
            _ => "",
        };
        let is_unknown = kind.ends_with(":accountDoesNotExist");
        one.due =
            if is_unknown && one.failures == 1 { Timestamp::now() } else { after(wait(one.failures, asked)) };
        let (names, next) = (one.names.join(", "), one.due);
        let served = match held {
            Some(held) => format!("the one before is served until {:.0}", held.until),
            None => "there is none to serve".to_owned(),
        };
        tracing::error!(event = "certificate_not_obtained", %error, "no certificate for {names} was obtained; {served}; tried again at {next:.0}");
        let failures = one.failures;
        self.certificates.troubles().failed(
            &one.names[0],
            format!("no certificate for {names} was obtained in {failures} attempts, and {served} (tried again at {next:.0}): {error}"),
        );
        // An account that the authority does not know any more is made anew.
        if is_unknown {
            self.account.forget();
            self.open = None;
        }
    }

    /// The account, opened or made when it is needed first.
    async fn account(&mut self) -> Result<Account, ObtainError> {
        if let Some(account) = &self.open {
            return Ok(account.clone());
        }
        let root = self.config.root.as_deref().map(kept::read_root).transpose()?;
        let client = self.client.insert(Client::new(root));
        let account = self.account.open(client).await?;
        Ok(self.open.insert(account).clone())
    }

    async fn renew(&mut self, held: &Obtained) -> Renew {
        let lifetime = held.until.duration_since(held.from);
        let two_thirds = Renew { at: held.until - lifetime / 3, replaces: None };
        let Ok(id) = CertificateIdentifier::try_from(&held.certificate) else { return two_thirds };
        let id = id.into_owned();
        let Ok(account) = self.account().await else { return two_thirds };
        match account.renewal_info(&id).await {
            Ok((info, _)) => {
                let at = |time: i64| Timestamp::from_second(time).unwrap_or(held.until);
                let window = info.suggested_window;
                let (start, end) = (at(window.start.unix_timestamp()), at(window.end.unix_timestamp()));
                let within = share(end.duration_since(start), &id);
                Renew { at: (start + within).min(held.until), replaces: Some(id) }
            }
            Err(error) => {
                tracing::debug!(%error, "the authority does not say when to renew");
                two_thirds
            }
        }
    }

    async fn obtain(
        &mut self,
        one: &Managed,
        replaces: Option<CertificateIdentifier<'static>>,
    ) -> Result<Obtained, ObtainError> {
        let account = self.account().await?;
        // What was refused before has nothing to do with this.
        self.client.as_ref().map(Client::leave_alone);
        let challenge = self.config.challenge;
        let pem = obtain(&account, &self.acme, challenge, &one.names, replaces).await?;
        put(&one.file, pem.as_bytes(), |new| {
            let new = Obtained::read(new)?;
            if is_for(&new, &one.names) { Ok(new) } else { Err(ObtainError::Other(one.names.join(", "))) }
        })
    }
}

/// Whether it can be served for all of `names`.
fn is_for(held: &Obtained, names: &[String]) -> bool {
    held.until > Timestamp::now() && names.iter().all(|name| held.names.contains(name))
}

/// How long to wait after so many failures in a row, when the authority `asked` for so much.
fn wait(failures: u32, asked: Duration) -> Duration {
    let first = if asked.is_zero() { FIRST_WAIT } else { asked };
    first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_WAIT.max(asked))
}

fn after(time: Duration) -> Timestamp {
    Timestamp::now() + SignedDuration::try_from(time).unwrap_or(SignedDuration::ZERO)
}

/// A part of the window that is the same at each look, and another for each certificate, so that not all come at once.
fn share(window: SignedDuration, id: &CertificateIdentifier<'_>) -> SignedDuration {
    let sum = id.serial.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    window.max(SignedDuration::ZERO) / 1000 * i32::try_from(sum % 1000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_left_alone_longer_and_longer() {
        let seconds = |failures, asked| wait(failures, Duration::from_secs(asked)).as_secs();
        assert_eq!([1, 2, 3, 40].map(|failures| seconds(failures, 0)), [60, 120, 240, 12 * 3600]);
        assert_eq!([1, 2].map(|failures| seconds(failures, 10)), [10, 20]);
        assert_eq!(seconds(3, 7 * 24 * 3600), 7 * 24 * 3600, "never sooner than it says");
    }

    #[test]
    fn each_authority_has_a_directory_of_its_own() {
        let at = |url: &str| {
            let mut config = Config { data_dir: "/data".into(), ..Config::default() };
            config.acme.directory = url.into();
            directory(&config).display().to_string()
        };
        assert_eq!(
            at("https://ca.internal:9000/acme/a/directory"),
            "/data/acme/ca.internal_9000_acme_a_directory"
        );
        assert_eq!(at("https://../../x"), "/data/acme/.._.._x");
    }
}
