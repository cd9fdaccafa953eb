//! Nodes that may sleep: left alone once nobody has asked them for a while, and woken for a request, for a model that is to
//! be kept loaded there, or by hand.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use aivonx_domain::TenantScope;
use aivonx_protocol::node::{Node, NodeWake, Wake};
use aivonx_store::{NodeWakeRecord, StoreError};
use tokio::{net::UdpSocket, sync::watch};

use super::{Fleet, error::FleetError, health::Checker, registry::Contact};

/// Where the packet goes unless somebody says otherwise: to everybody on the gateway's own network.
const EVERYBODY: &str = "255.255.255.255:9";

/// How long nobody asks a node before it may sleep, unless somebody says otherwise, and the longest, in seconds.
const IDLE: u64 = 600;
const IDLE_MAX: u64 = 30 * 24 * 3600;

/// How long a node is called before it is given up, and how often.
const CALLED_FOR: Duration = Duration::from_secs(180);
const CALLS: Duration = Duration::from_secs(1);

/// How long after the first packet to a node that is down the next one is sent; each further one waits twice as long.
const AGAIN: Duration = Duration::from_secs(5);
const AGAIN_MAX: Duration = Duration::from_secs(600);

/// What a node is woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Request,
    Placement,
    ByHand,
}

impl Cause {
    fn text(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Placement => "placement",
            Self::ByHand => "by hand",
        }
    }
}

/// What a node that sleeps is to be woken for, until it is awake.
#[derive(Debug, Default)]
pub(super) struct Called(watch::Sender<Option<Cause>>);

impl Called {
    /// Has it woken.
    pub(super) fn call(&self, cause: Cause) {
        self.0.send_replace(Some(cause));
    }

    /// Waits until it is to be woken.
    pub(super) async fn heard(&self) -> Option<Cause> {
        let mut calls = self.0.subscribe();
        // Its sender is right here.
        calls.wait_for(Option::is_some).await.ok().and_then(|cause| *cause)
    }

    /// It is awake: it is not to be woken again for what it was woken for.
    pub(super) fn ends(&self) {
        self.0.send_replace(None);
    }
}

impl Fleet {
    /// How a node is woken, or all within reach that are.
    ///
    /// # Errors
    /// There is no such node within reach, or the store fails.
    pub async fn wakes(&self, reach: &TenantScope, node: Option<&str>) -> Result<Vec<NodeWake>, FleetError> {
        let scope = reach.into();
        let id = node.map(|node| self.checker.registry.resolve(&scope, node)).transpose()?;
        let own = self.checker.registry.contacts(&scope);
        let mut records = self.store.node_wakes().list(&TenantScope::All).await?;
        records.retain(|record| own.iter().any(|node| node.id == record.id));
        records.retain(|record| id.as_ref().is_none_or(|id| *id == record.id));
        Ok(records.into_iter().map(shown).collect())
    }

    /// Says how a node is woken; None is not at all.
    ///
    /// # Errors
    /// It is wrong, there is no such node, or the caller reaches less than the whole fleet: the packet goes to any machine
    /// on the gateway's network.
    pub async fn set_wake(
        &self,
        reach: &TenantScope,
        node: &str,
        wake: Option<Wake>,
    ) -> Result<Vec<NodeWake>, FleetError> {
        if *reach != TenantScope::All {
            return Err(FleetError::FleetWide("waking machines"));
        }
        let id = self.checker.registry.resolve(&reach.into(), node)?;
        let new = wake.map(|wake| checked(&wake)).transpose()?;
        let alter = {
            let id = id.clone();
            move |old: Option<NodeWakeRecord>| {
                let NodeWakeRecord { mac, address, idle_seconds, .. } = new?;
                Some(NodeWakeRecord { mac, address, idle_seconds, id, ..old.unwrap_or_default() })
            }
        };
        self.store.node_wakes().alter(&id, alter).await?;
        self.settle().await?;
        self.wakes(reach, Some(&id)).await
    }

    /// Wakes a node that sleeps, though no request waits for it. Returns once the first packet is sent; one that does not
    /// sleep, as far as is known, gets no other.
    ///
    /// # Errors
    /// There is no such node within reach, nobody said how it is woken, or the packet cannot be sent.
    pub async fn wake_up(&self, reach: &TenantScope, node: &str) -> Result<Node, FleetError> {
        let id = self.checker.registry.resolve(&reach.into(), node)?;
        // As it was before: it may be awake at once.
        let node = self.view(reach, &id)?;
        if let Some(contact) = self.checker.registry.contact(&id) {
            let Some(wake) = &contact.wake else {
                let message = format!("nobody said how {} is woken", contact.name);
                let fix = format!("say it: aivonx node set {} --wake MAC", contact.name);
                return Err(FleetError::field("node", message, fix));
            };
            // Whatever is known of it, it may sleep: it may have been called in vain.
            send(wake).await.map_err(|error| {
                let message = format!("the packet that wakes {} cannot be sent: {error}", contact.name);
                let fix = format!(
                    "say where it goes: aivonx node set {} --wake MAC --wake-at ADDRESS:PORT",
                    contact.name
                );
                FleetError::field("wake_at", message, fix)
            })?;
            if contact.sleeps {
                contact.called.call(Cause::ByHand);
            }
        }
        Ok(node)
    }

    /// Brings how nodes are woken in line with the store.
    pub(super) async fn sync_wakes(&self) -> Result<(), StoreError> {
        self.checker.registry.set_wakes(self.store.node_wakes().list(&TenantScope::All).await?);
        Ok(())
    }
}

fn checked(wake: &Wake) -> Result<NodeWakeRecord, FleetError> {
    let Wake { mac, address, idle_seconds } = wake;
    let mac = parse(mac).ok_or_else(|| {
        FleetError::field("wake", format!("'{mac}' is no hardware address"), "write it as aa:bb:cc:dd:ee:ff")
    })?;
    let address = address.as_deref().unwrap_or(EVERYBODY);
    let is_one = address.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0);
    if !is_one {
        let message = format!("'{address}' is no address with a port");
        return Err(FleetError::field("wake_at", message, format!("write it as {EVERYBODY}")));
    }
    let idle_seconds = idle_seconds.unwrap_or(IDLE);
    if !(1..=IDLE_MAX).contains(&idle_seconds) {
        let message = format!("{idle_seconds} s is no time after which a node may sleep");
        return Err(FleetError::field("wake_idle", message, "use a time from 1s to 30d"));
    }
    Ok(NodeWakeRecord { mac, address: address.to_owned(), idle_seconds, ..NodeWakeRecord::default() })
}

fn parse(mac: &str) -> Option<[u8; 6]> {
    let mut bytes = mac.split([':', '-']).map(|byte| {
        let is_byte = byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit());
        u8::from_str_radix(byte, 16).ok().filter(|_| is_byte)
    });
    let mut read = [0; 6];
    for byte in &mut read {
        *byte = bytes.next()??;
    }
    bytes.next().is_none().then_some(read)
}

fn shown(record: NodeWakeRecord) -> NodeWake {
    let mac = record.mac.map(|byte| format!("{byte:02x}")).join(":");
    NodeWake { node: record.id, mac, address: record.address, idle_seconds: record.idle_seconds }
}

/// Whether nobody asks a node any more.
#[derive(Debug)]
pub(super) struct Idle {
    since: Instant,
    requests: u64,
}

impl Default for Idle {
    fn default() -> Self {
        Self { since: Instant::now(), requests: 0 }
    }
}

impl Idle {
    /// Takes in that it was sent so many requests and works on so many; how long it is idle.
    pub(super) fn for_how_long(&mut self, requests: u64, active: u32, now: Instant) -> Duration {
        if active > 0 || requests != self.requests {
            *self = Self { since: now, requests };
        }
        now.saturating_duration_since(self.since)
    }

    /// It begins anew.
    pub(super) fn ends(&mut self, now: Instant) {
        self.since = now;
    }
}

/// Wakes a node, if it sleeps: until it answers a check, or for too long.
pub(super) async fn wake(checker: &Checker, node: &Contact, cause: Cause) {
    let Some(wake) = &node.wake else { return };
    tracing::info!(event = "node_called", node = %node.name, organization = node.organization.as_deref(),
        reason = cause.text(), "node is woken");
    let begun = Instant::now();
    let mut said = false;
    while begun.elapsed() < CALLED_FOR && checker.registry.sleeps(&node.id) {
        if let Err(error) = send(wake).await
            && !std::mem::replace(&mut said, true)
        {
            says_cannot(node, &error);
        }
        let next = Instant::now() + CALLS;
        checker.check(&node.id).await;
        if !checker.registry.sleeps(&node.id) {
            return;
        }
        tokio::time::sleep_until(next.into()).await;
    }
    checker.registry.does_not_wake(node);
}

/// The packets to a node that its checks find down: no request waits for it, and it may only sleep.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// When the next one is due, and how long after the last.
    next: Option<(Instant, Duration)>,
}

impl Calls {
    /// Whether one is to be sent now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let pause = match self.next {
            None => AGAIN,
            Some((at, _)) if now < at => return false,
            Some((_, pause)) => (pause * 2).min(AGAIN_MAX),
        };
        self.next = Some((now + pause, pause));
        true
    }
}

/// Sends a node that may sleep the packet that wakes it.
pub(super) async fn call(node: &Contact, wake: &NodeWakeRecord) {
    if let Err(error) = send(wake).await {
        says_cannot(node, &error);
    }
}

fn says_cannot(node: &Contact, error: &std::io::Error) {
    tracing::warn!(event = "node_called", node = %node.name, organization = node.organization.as_deref(), %error,
        "the packet that wakes the node cannot be sent");
}

/// Sends the packet that wakes the card with this address: six times ff, then the address 16 times.
async fn send(wake: &NodeWakeRecord) -> std::io::Result<()> {
    let address: SocketAddr = wake.address.parse().map_err(std::io::Error::other)?;
    let from: IpAddr = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((from, 0)).await?;
    socket.set_broadcast(true)?;
    let packet = [&[0xff; 6][..], &wake.mac.repeat(16)].concat();
    socket.send_to(&packet, address).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_six_bytes() {
        assert_eq!(parse("AA:bb:0c:dd:ee:ff"), Some([0xaa, 0xbb, 0x0c, 0xdd, 0xee, 0xff]));
        assert_eq!(parse("00-11-22-33-44-55"), Some([0, 0x11, 0x22, 0x33, 0x44, 0x55]));
        for bad in [
            "",
            "aa:bb:cc:dd:ee",
            "aa:bb:cc:dd:ee:ff:00",
            "aa:bb:cc:dd:ee:fg",
            "a:b:c:d:e:f",
            "+a:bb:cc:dd:ee:ff",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_node_that_is_down_is_called_at_once_and_ever_less_often() {
        let (begun, mut calls) = (Instant::now(), Calls::default());
        let mut sent = (0..4000).filter(|second| calls.is_due(begun + Duration::from_secs(*second)));
        let first: Vec<u64> = sent.by_ref().take(4).collect();
        assert_eq!(first, [0, 5, 15, 35]);
        let rest: Vec<u64> = sent.collect();
        assert_eq!(rest.windows(2).map(|pair| pair[1] - pair[0]).max(), Some(600));
    }

    #[test]
    fn who_is_asked_or_works_is_not_idle() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let mut idle = Idle { since: begun, requests: 0 };
        assert_eq!(idle.for_how_long(0, 0, begun + second), second);
        assert_eq!(idle.for_how_long(1, 0, begun + 2 * second), Duration::ZERO);
        assert_eq!(idle.for_how_long(1, 1, begun + 3 * second), Duration::ZERO);
        assert_eq!(idle.for_how_long(1, 0, begun + 5 * second), 2 * second);
    }
}
