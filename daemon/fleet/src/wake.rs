//! Nodes that may sleep: left alone once nobody has asked them for a while, and woken for a request, for a model that is to
//! be kept loaded there, or by hand.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use aivonx_domain::TenantScope;
use aivonx_protocol::node::{Node, NodeWake, Wake};
use aivonx_store::{NodeWakeRecord, StoreError};
use tokio::net::UdpSocket;

use super::{Fleet, contact::Contact, error::FleetError, health::Checker, sleep::Cause};

/// Where the packet goes unless somebody says otherwise: to everybody on the gateway's own network.
const EVERYBODY: &str = "255.255.255.255:9";

/// How long nobody asks a node before it may sleep, unless somebody says otherwise, and the longest, in seconds.
const IDLE: u64 = 600;
const IDLE_MAX: u64 = 30 * 24 * 3600;

/// How long a node is called before it is given up, and how often.
const CALLED_FOR: Duration = Duration::from_secs(180);
const CALLS: Duration = Duration::from_secs(1);

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

/// Wakes a node, if it sleeps: until it answers a check, or for too long. How it is woken may be mended meanwhile.
pub(super) async fn wake(checker: &Checker, node: &Contact, cause: Cause) {
    tracing::info!(event = "node_called", node = %node.name, organization = node.organization.as_deref(),
        reason = cause.text(), "node is woken");
    let begun = Instant::now();
    let mut said = None;
    while begun.elapsed() < CALLED_FOR {
        let now = checker.registry.contact(&node.id);
        let Some(Contact { sleeps: true, wake: Some(wake), .. }) = now else { return };
        if let Err(error) = send(&wake).await
            && said.replace(wake.revision) != Some(wake.revision)
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
}
