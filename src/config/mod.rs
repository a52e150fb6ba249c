//! What the user asked for, as values that were checked: texts in, numbers and addresses out. Pure, so that
//! all of it runs before any device is touched. Must not know clap, devices, connections or applications.

pub mod address;
pub mod assign;
pub mod bench;
mod bounds;
pub mod compare;
pub mod connect;
pub mod connection;
pub mod expect;
pub mod http_head;
pub mod imitate;
pub mod load;
pub mod output;
pub mod serve;
pub mod shape;
pub mod stack;
pub mod stages;
pub mod supply;
pub mod talk;
pub mod targets;
pub mod units;

use std::net::IpAddr;

use thiserror::Error;

/// What is wrong with an option. Each message is one sentence with the cause and the cure; the option's name
/// and value are put in front by whoever prints it, unless the message names them itself.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ConfigError {
    /// Another word than those that an option knows.
    #[error("'{text}' is not {what}; take {choices}")]
    Word {
        /// What the word should be.
        what: &'static str,
        /// What was written.
        text: String,
        /// The words there are.
        choices: &'static str,
    },
    /// Ranges of endpoints.
    #[error(transparent)]
    Endpoints(#[from] targets::RangeError),
    /// The shape of a load.
    #[error(transparent)]
    Shape(#[from] shape::ShapeError),
    /// What is said on connections, and who closes them.
    #[error(transparent)]
    Talk(#[from] talk::TalkError),
    /// What SYNs offer.
    #[error(transparent)]
    Imitate(#[from] imitate::ImitateError),
    /// A plan that cannot work.
    #[error(transparent)]
    Supply(#[from] supply::SupplyError),
    /// What a run is expected to show.
    #[error(transparent)]
    Expect(#[from] expect::ExpectError),
    /// A search for the highest rate.
    #[error(transparent)]
    Bench(#[from] bench::BenchError),
    /// A file of stages.
    #[error(transparent)]
    Stages(#[from] stages::StageError),
    /// An option that has no meaning beside another.
    #[error("--{option} {why}; leave it out")]
    Misplaced {
        /// The option, without its dashes.
        option: String,
        /// Why not.
        why: &'static str,
    },
    /// `compare` without what it compares.
    #[error(
        "compare needs two files with results, as in `compare before.json after.json`, and was given {0}"
    )]
    TwoFiles(usize),
    /// A file that cannot be read.
    #[error("{option} {file}: it cannot be read ({error}); give the name of a file that can")]
    Unreadable {
        /// The option.
        option: &'static str,
        /// The file.
        file: String,
        /// What the system says.
        error: String,
    },
    /// Two results in one file.
    #[error("{first} and {second} both name {file}; give each a file of its own")]
    SameFile {
        /// An option.
        first: &'static str,
        /// Another one.
        second: &'static str,
        /// The file.
        file: String,
    },
    /// A number that could not be read.
    #[error(transparent)]
    Unit(#[from] units::UnitError),
    /// A number outside its range.
    #[error("{what} must be {min} to {max}{why}; the usual value is {usual}")]
    Range {
        /// What the number is.
        what: &'static str,
        /// The smallest value allowed, as written.
        min: String,
        /// The largest value allowed, as written.
        max: String,
        /// Where the limits come from; begins with a comma, or is empty.
        why: &'static str,
        /// The default or another sensible value.
        usual: &'static str,
    },
    /// An option without the parts it needs.
    #[error("this is not {form}; write it like {example}")]
    Form {
        /// The form expected.
        form: &'static str,
        /// A whole value.
        example: &'static str,
    },
    /// An IPv6 address.
    #[error("IPv6 is not served yet, and only IPv4 addresses such as {example} are accepted in this version")]
    Ipv6 {
        /// A value that is accepted.
        example: &'static str,
    },
    /// A prefix length that IPv4 does not have.
    #[error("the prefix length must be 1 to 32, as in 198.18.0.1/24")]
    Prefix,
    /// An address that no host can have.
    #[error("{address} is {kind} and no host's own address; take one like 198.18.0.1")]
    NotAHost {
        /// The address.
        address: IpAddr,
        /// What kind of address it is.
        kind: &'static str,
    },
    /// The address of a subnet itself, or its broadcast address.
    #[error(
        "{address} is the {role} address of its /{prefix} subnet; take one between the first and the last"
    )]
    SubnetEdge {
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
        /// `network` or `broadcast`.
        role: &'static str,
    },
    /// A MAC address that no interface has as its own.
    #[error("this MAC address is {kind}; take the address of one interface, such as 02:00:00:00:00:01")]
    Mac {
        /// What it is instead.
        kind: &'static str,
    },
    /// A TCP port number out of range.
    #[error("'{text}' is not a TCP port; write a number from 1 to 65535, as in 80=http")]
    TcpPort {
        /// What was written.
        text: String,
    },
    /// A service that does not exist.
    #[error("{0}")]
    Service(String),
    /// The same TCP port twice.
    #[error("--listen names TCP port {0} twice; leave one of the two out")]
    ListenTwice(u16),
    /// Too many listeners.
    #[error(
        "--listen was given {0} times and at most {max} listeners are served; leave some out",
        max = serve::LISTENERS_MAX
    )]
    ListenersMax(usize),
    /// The same neighbour twice.
    #[error("--neighbour names {0} twice; leave one of the two out")]
    NeighbourTwice(IpAddr),
    /// The same address twice.
    #[error("the address {0} is given to two ports or twice to one; every --addr must be another address")]
    AddressTwice(IpAddr),
    /// An address beyond the last port.
    #[error(
        "there are {addresses} addresses for {ports} port(s), so that --addr {address} has no port; \
         leave it out, or put a second address on a port with @PORT"
    )]
    TooManyAddresses {
        /// Addresses given.
        addresses: usize,
        /// Ports there are.
        ports: usize,
        /// The first address that is left over.
        address: IpAddr,
    },
    /// A port that does not exist.
    #[error("--addr {address}@{port} names a port that is not there; there are {known}")]
    UnknownPort {
        /// The address.
        address: IpAddr,
        /// What stands after the `@`.
        port: String,
        /// The ports there are.
        known: String,
    },
    /// A port beyond those that have a default address.
    #[error("port {0} has no default address; give it one with --addr ADDR/PREFIX@{0}")]
    NoDefault(u16),
    /// Two ports in one subnet: which one an answer leaves by would be a guess.
    #[error(
        "{first} on port {first_port} and {second} on port {second_port} lie in one subnet, and \
         answers would not know which port to take; give each port a subnet of its own with --addr"
    )]
    Overlap {
        /// Address and prefix on one port.
        first: String,
        /// That port.
        first_port: u16,
        /// Address and prefix on the other port.
        second: String,
        /// That port.
        second_port: u16,
    },
    /// A gateway or neighbour that no port reaches.
    #[error(
        "{option} {address} lies in no port's subnet ({subnets}); \
         give a port an address beside it with --addr"
    )]
    OffLink {
        /// The option.
        option: &'static str,
        /// The address.
        address: IpAddr,
        /// The subnets there are.
        subnets: String,
    },
    /// A gateway or neighbour that is one of our own addresses.
    #[error("{option} {address} is an address of ours; give the other host's address")]
    Ourselves {
        /// The option.
        option: &'static str,
        /// The address.
        address: IpAddr,
    },
}

impl ConfigError {
    fn word(what: &'static str, text: &str, choices: &'static str) -> Self {
        ConfigError::Word { what, text: text.to_owned(), choices }
    }
}
