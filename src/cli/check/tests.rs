//! `check`: each thing that can be wrong, and a machine read from files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;

/// A machine on which everything is all right.
fn machine() -> Facts {
    let dir = |path: &str| Directory { path: path.to_owned(), writable: true };
    Facts {
        page_sizes: vec![PageSize { kilobytes: 2_048, total: 512, free: 500 }],
        huge_mounts: vec![dir("/dev/hugepages")],
        run_time: dir("/var/run/dpdk"),
        root: true,
        cap_net_admin: true,
        cap_net_raw: true,
        tun: Tun::Usable,
        nics: vec![nic("0000:03:00.0", Some("vfio-pci"), None)],
        online: "0-1\n".to_owned(),
        available_bytes: 8 << 30,
    }
}

fn nic(address: &str, driver: Option<&str>, interface: Option<&str>) -> Nic {
    Nic {
        address: address.to_owned(),
        driver: driver.map(str::to_owned),
        interface: interface.map(str::to_owned),
    }
}

fn asked(eal: &str) -> Asked {
    let eal = eal.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    Asked { eal, max_connections: 262_144, mtu: 1_500, needed_bytes: 100 << 20 }
}

#[track_caller]
fn all_ok(facts: &Facts, eal: &str) -> String {
    let found = findings(facts, &asked(eal));
    assert_eq!(exit_status(&found), 0, "{found:?}");
    text(&found)
}

/// The one finding that must be mended, as a line.
#[track_caller]
fn must_mend(facts: &Facts, eal: &str, parts: &[&str]) {
    let found = findings(facts, &asked(eal));
    let wrong: Vec<_> = found.into_iter().filter(|finding| finding.cure.is_some()).collect();
    assert_eq!(wrong.len(), 1, "{}", text(&wrong));
    assert_eq!(exit_status(&wrong), 1);
    let line = wrong[0].to_string();
    for part in parts {
        assert!(line.contains(part), "{part:?} is missing in {line:?}");
    }
}

fn text(found: &[Finding]) -> String {
    let mut bytes = Vec::new();
    print(found, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_good_machine_is_told_a_line_a_finding() {
    let lines = all_ok(&machine(), "-l 0-1");
    assert!(lines.lines().all(|line| line.starts_with("OK    ")), "{lines}");
    for part in ["500 free of 512 of 2048 kB", "0000:03:00.0 (vfio-pci)", "lcores 0-1", "100 MB", "root"] {
        assert!(lines.contains(part), "{part:?} is missing in {lines}");
    }
}

#[test]
fn hugepages_that_are_missing_taken_or_few_are_to_be_reserved() {
    let mut facts = machine();
    facts.page_sizes[0] = PageSize { kilobytes: 2_048, total: 0, free: 0 };
    must_mend(&facts, "", &["MEND  hugepages", "none are reserved", "scripts/hugepages 512"]);
    assert!(all_ok(&facts, "--no-huge -m 512").contains("not used"));
    facts.page_sizes[0] = PageSize { kilobytes: 2_048, total: 64, free: 0 };
    must_mend(&facts, "", &["all 64 are in use", "scripts/hugepages 576"]);
    must_mend(&machine(), "-m 2000", &["2000 MB are asked for", "scripts/hugepages 1012"]);
    must_mend(&machine(), "--socket-mem 1000,1000", &["2000 MB are asked for"]);
}

#[test]
fn hugetlbfs_is_needed_unless_eal_does_without() {
    let mut facts = machine();
    must_mend(&facts, "--huge-dir /mnt/huge", &["not mounted at /mnt/huge"]);
    facts.huge_mounts[0].writable = false;
    must_mend(&facts, "", &["/dev/hugepages may not be written", "--in-memory"]);
    facts.huge_mounts.clear();
    must_mend(&facts, "", &["MEND  hugetlbfs", "not mounted", "scripts/hugepages"]);
    all_ok(&facts, "--in-memory");
    all_ok(&facts, "--no-huge");
}

#[test]
fn rights_are_looked_at_for_the_devices_that_need_them() {
    let facts = Facts { cap_net_admin: false, cap_net_raw: false, root: false, ..machine() };
    must_mend(&facts, "--vdev net_tap0,iface=x", &["CAP_NET_ADMIN", "unshare -r -n"]);
    must_mend(&facts, "--vdev=net_af_packet0,iface=x", &["CAP_NET_RAW"]);
    assert!(all_ok(&facts, "--vdev net_memif0").contains("not root"));
    must_mend(&Facts { tun: Tun::Missing, ..machine() }, "--vdev net_tap0", &["modprobe tun"]);
    must_mend(&Facts { tun: Tun::Closed, ..machine() }, "--vdev net_tap0", &["/dev/net/tun"]);
    let run_time = Directory { path: "/var/run/dpdk".to_owned(), writable: false };
    must_mend(&Facts { run_time, ..machine() }, "", &["/var/run/dpdk", "RUNTIME_DIRECTORY"]);
}

#[test]
fn a_port_must_come_from_somewhere() {
    let mut facts = machine();
    assert!(all_ok(&facts, "--vdev net_tap0 --vdev net_null0").contains("virtual device net_null0"));
    must_mend(&facts, "--no-pci", &["no virtual device", "--vdev net_tap0"]);
    facts.nics = vec![nic("0000:00:03.0", Some("virtio-pci"), Some("eth0"))];
    must_mend(&facts, "", &["eth0", "scripts/bind 0000:00:03.0"]);
    facts.nics.push(nic("0000:00:04.0", None, None));
    must_mend(&facts, "", &["bound to no driver", "scripts/bind 0000:00:04.0"]);
    facts.nics.push(nic("0000:00:05.0", Some("mlx5_core"), Some("eth1")));
    all_ok(&facts, "");
    facts.nics.clear();
    must_mend(&facts, "", &["no NIC"]);
}

#[test]
fn cores_that_are_not_there_are_named() {
    must_mend(&machine(), "-l 0-3", &["CPUs 2-3", "-l 0-1"]);
    must_mend(&machine(), "-l zero", &["`zero`"]);
    assert!(all_ok(&machine(), "").contains("all CPUs"));
}

#[test]
fn memory_that_does_not_suffice_names_how_many_connections_do() {
    let facts = Facts { available_bytes: 50 << 20, ..machine() };
    must_mend(&facts, "", &["need 100 MB, 50 MB are available", "--max-connections 117964 or less"]);
    let facts = Facts { available_bytes: 300 << 20, ..machine() };
    all_ok(&facts, "");
    must_mend(&facts, "--no-huge -m 256", &["44 MB are available"]);
}

/// A tree of files in a directory that goes away with it.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Machine {
        let root = std::env::temp_dir().join(format!("dpdk-tcp-facts-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        Machine(root)
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn facts_are_read_from_the_kernels_files() {
    let machine = Machine::new("full");
    machine.file("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n");
    machine.file("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "500\n");
    machine.file("proc/mounts", "proc /proc proc rw 0 0\nhugetlbfs /dev/hugepages hugetlbfs rw 0 0\n");
    machine.file("proc/self/status", "Name:\tx\nUid:\t1000\t0\t0\t0\nCapEff:\t0000000000003000\n");
    machine.file("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    1024 kB\n");
    machine.file("sys/devices/system/cpu/online", "0-1\n");
    machine.file("sys/bus/pci/devices/0000:00:03.0/class", "0x020000\n");
    machine.file("sys/bus/pci/devices/0000:00:03.0/virtio0/net/eth0/mtu", "1500\n");
    machine.file("sys/bus/pci/devices/0000:00:01.0/class", "0x030000\n");
    machine.file("dev/hugepages/some_file", "");
    machine.file("dev/net/tun", "");
    let driver = machine.0.join("sys/bus/pci/devices/0000:00:03.0/driver");
    symlink("../../../../bus/pci/drivers/virtio-pci", driver).unwrap();

    let facts = Facts::gather(&machine.0, &|_| None);
    let dir = |path: &str, writable| Directory { path: path.to_owned(), writable };
    let wanted = Facts {
        page_sizes: vec![PageSize { kilobytes: 2_048, total: 512, free: 500 }],
        huge_mounts: vec![dir("/dev/hugepages", true)],
        run_time: dir("/var/run/dpdk", false),
        root: true,
        cap_net_admin: true,
        cap_net_raw: true,
        tun: Tun::Usable,
        nics: vec![nic("0000:00:03.0", Some("virtio-pci"), Some("eth0"))],
        online: "0-1\n".to_owned(),
        available_bytes: 1 << 20,
    };
    assert_eq!(facts, wanted);
    let left = fs::read_dir(machine.0.join("dev/hugepages")).unwrap().count();
    assert_eq!(left, 1, "nothing is left behind");
}

#[test]
fn the_run_time_directory_is_the_one_that_eal_chooses() {
    let machine = Machine::new("rundir");
    machine.file("run/user/1/x", "");
    machine.file("proc/self/status", "Uid:\t1000\t1000\t1000\t1000\n");
    let xdg = |name: &str| (name == "XDG_RUNTIME_DIR").then(|| "/run/user/1".to_owned());
    let found = Facts::gather(&machine.0, &xdg).run_time;
    assert_eq!(found, Directory { path: "/run/user/1/dpdk".to_owned(), writable: true });
    let own = |name: &str| (name == "RUNTIME_DIRECTORY").then(|| "/absent".to_owned());
    let found = Facts::gather(&machine.0, &own).run_time;
    assert_eq!(found, Directory { path: "/absent/dpdk".to_owned(), writable: false });
    assert_eq!(Facts::gather(&machine.0, &|_| None).run_time.path, "/tmp/dpdk");
}

#[test]
fn an_empty_machine_has_nothing_and_breaks_nothing() {
    let facts = Facts::gather(Path::new("/nowhere/at/all"), &|_| None);
    assert_eq!(facts.tun, Tun::Missing);
    assert_eq!(exit_status(&findings(&facts, &asked("-l 0"))), 1);
}

#[test]
fn jumbo_frames_are_not_for_a_tap() {
    let of = |mtu, eal: &str| findings(&machine(), &Asked { mtu, ..asked(eal) });
    for (mtu, eal) in [(1_500, "--vdev net_tap0"), (9_000, "--vdev net_memif0"), (9_000, "")] {
        assert_eq!(exit_status(&of(mtu, eal)), 0, "{mtu} {eal}");
    }
    for driver in ["net_tap", "net_af_packet"] {
        let found = text(&of(9_000, &format!("--vdev {driver}0")));
        assert!(
            found.contains(&format!("{driver} carries packets of 1500")) && found.contains("--mtu 1500"),
            "{found}"
        );
    }
}
