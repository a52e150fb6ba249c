//! Finds DPDK by pkg-config, compiles the shim, makes the bindings and says what to link. Whatever is missing
//! stops the build with one sentence that names it and how to get it.

use std::env;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest DPDK that is supported: the LTS of Debian 12.
const OLDEST: (u32, u32) = (22, 11);

/// The libraries whose functions are called. `log` was cut out of `eal` in a later release.
const CALLED: &[&str] = &["ethdev", "mbuf", "mempool", "ring", "net_ring", "hash", "eal"];
const CALLED_WHERE_PRESENT: &[&str] = &["log"];

/// For a static build. Drivers register themselves in constructors, so that nothing refers to them and they
/// must be linked whole. `mempool_ring` is asked for by name when a pool is made, `bus_vdev` by each `--vdev`.
const DRIVERS: &[&str] = &[
    "bus_vdev",
    "bus_pci",
    "mempool_ring",
    "net_null",
    "net_tap",
    "net_memif",
    "net_af_packet",
    "net_af_xdp",
    "net_pcap",
    "net_virtio",
    "net_vhost",
];
/// For a static build: what the above stand on.
const BENEATH: &[&str] =
    &["meter", "net", "rcu", "telemetry", "kvargs", "pci", "vhost", "gso", "cryptodev", "dmadev", "security"];
const BENEATH_WHERE_PRESENT: &[&str] = &["argparse", "bpf", "pcapng", "stack", "timer", "eventdev"];
const SYSTEM: &[&str] = &["numa", "pcap", "xdp", "bpf", "elf", "z", "jansson", "crypto", "bsd"];

/// Functions, variables and types that the bindings carry.
const FUNCTIONS: &str = "dt_.*|rte_eal_(init|cleanup|has_hugepages|remote_launch|wait_lcore|get_lcore_state)|rte_version\
    |rte_openlog_stream|rte_strerror|rte_devargs_next|rte_(get_main_lcore|get_next_lcore|lcore_cpuset|lcore_to_socket_id)\
    |rte_pktmbuf_pool_create|rte_mempool_(free|in_use_count|register_ops)|rte_ring_(create|free)|rte_eth_from_rings\
    |rte_eth_dev_(configure|start|stop|close|info_get|get_name_by_port|get_port_by_name|get_mtu|set_mtu|socket_id)\
    |rte_eth_dev_(adjust_nb_rx_tx_desc|default_mac_addr_set)|rte_eth_(rx|tx)_queue_setup|rte_eth_find_next_owned_by\
    |rte_eth_(macaddr_get|promiscuous_enable|stats_get)|rte_hash_(create|add_key|lookup_bulk|free)\
    |rte_malloc_heap_(create|memory_add|get_socket)";
const VARIABLES: &str = "DT_.*|RTE_ETH_NAME_MAX_LEN|RTE_MAX_LCORE|RTE_MEMPOOL_CACHE_MAX_SIZE|RTE_PKTMBUF_HEADROOM\
    |RTE_RING_NAMESIZE|RTE_MEMPOOL_NAMESIZE|RING_F_S[PC]_(ENQ|DEQ)|rte_mempool_ops_table";
/// Passed by pointer only, or packed in a way that cannot be expressed.
const OPAQUE: &str =
    "rte_mbuf|rte_mempool|rte_ring|rte_hash|rte_devargs|rte_device|_IO_FILE|rte_arp_.*|rte_gtp_psc_.*";

fn main() {
    for file in ["build.rs", "wrapper.h", "shim.h", "shim.c"] {
        println!("cargo::rerun-if-changed={file}");
    }
    for name in ["PKG_CONFIG", "PKG_CONFIG_PATH", "LIBCLANG_PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if let Err(sentence) = build() {
        // Cargo fails the build for this line alone; leaving with an error would only add noise to it.
        println!("cargo::error={sentence}");
    }
}

fn build() -> Result<(), String> {
    let version = pkg_config(&["--modversion"])?.concat();
    if version_of(&version).is_none_or(|found| found < OLDEST) {
        return Err(format!(
            "DPDK {version} is too old, {}.{} or newer is needed: install it (`apt-get install libdpdk-dev` on \
             Debian 12), or let PKG_CONFIG_PATH lead to its libdpdk.pc",
            OLDEST.0, OLDEST.1
        ));
    }
    let flags = pkg_config(&["--cflags"])?;
    let include_dir = pkg_config(&["--variable=includedir"])?.concat();
    find_headers(&flags, &include_dir)?;
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: build with cargo")?);
    compile_shim(&flags)?;
    make_bindings(&flags, &out_dir.join("bindings.rs"))?;
    link()?;
    // Becomes DEP_DPDK_VERSION in the build script of a direct dependant.
    println!("cargo::metadata=version={version}");
    Ok(())
}

/// The words that pkg-config answers for libdpdk. The `pkg-config` crate is not used because it keeps back
/// `-include rte_config.h` and `-march=...`, without which the headers do not compile.
fn pkg_config(args: &[&str]) -> Result<Vec<String>, String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let output = Command::new(&program)
        .args(args)
        .arg("libdpdk")
        .output()
        .map_err(|cause| format!("cannot run {program} ({cause}): `apt-get install pkg-config`"))?;
    if !output.status.success() {
        return Err(
            "DPDK's headers are not installed (pkg-config knows no libdpdk): `apt-get install libdpdk-dev`, \
                    or build with --no-default-features to leave the device layer out"
                .to_owned(),
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect())
}

/// Year and month of a release such as `22.11.11` or `25.11.0-rc1`, to be compared as numbers.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn find_headers(flags: &[String], include_dir: &str) -> Result<(), String> {
    let named = flags.iter().filter_map(|flag| flag.strip_prefix("-I"));
    let found =
        named.chain([include_dir, "/usr/include"]).any(|dir| Path::new(dir).join("rte_ethdev.h").is_file());
    if found {
        return Ok(());
    }
    Err(format!(
        "libdpdk.pc is there but DPDK's headers are not in {include_dir}: `apt-get install --reinstall libdpdk-dev`"
    ))
}

fn compile_shim(flags: &[String]) -> Result<(), String> {
    let mut compiler = cc::Build::new();
    for flag in flags {
        compiler.flag(flag);
    }
    // DPDK's headers warn by themselves at -Wextra; the shim's own mistakes would be errors.
    compiler.file("shim.c").opt_level(3).warnings(false).cargo_warnings(false);
    compiler.try_compile("dpdk_shim").map_err(|cause| {
        format!(
            "the C shim over DPDK does not compile: `apt-get install build-essential` if there is no C compiler \
             ({})",
            one_line(&cause.to_string())
        )
    })
}

fn make_bindings(flags: &[String], file: &Path) -> Result<(), String> {
    let builder = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(flags)
        // Without it the C library hides cpu_set_t, and DPDK then what speaks of it.
        .clang_arg("-D_GNU_SOURCE")
        .allowlist_function(FUNCTIONS)
        .allowlist_var(VARIABLES)
        .opaque_type(OPAQUE)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .derive_default(true)
        .derive_debug(false)
        .prepend_enum_name(false)
        .layout_tests(false)
        .generate_comments(false)
        .formatter(bindgen::Formatter::None);
    // A libclang that cannot be loaded makes bindgen panic. Its own text is of no use to who builds.
    panic::set_hook(Box::new(|_| {}));
    let outcome = panic::catch_unwind(panic::AssertUnwindSafe(move || builder.generate()));
    drop(panic::take_hook());
    let bindings = match outcome {
        Ok(Ok(bindings)) => bindings,
        Ok(Err(cause)) => {
            return Err(format!(
                "no bindings can be made from DPDK's headers: `apt-get install libclang-dev build-essential` if \
                 headers of C are missing ({})",
                one_line(&cause.to_string())
            ));
        }
        Err(_) => {
            return Err(
                "libclang is missing, which reads DPDK's headers: `apt-get install libclang-dev`".to_owned()
            );
        }
    };
    bindings.write_to_file(file).map_err(|cause| format!("cannot write {}: {cause}", file.display()))
}

/// Says what the final binary is linked with. `rustc-link-lib` reaches it from here; `rustc-link-arg` would not.
fn link() -> Result<(), String> {
    let known = pkg_config(&["--libs"])?;
    let present = |name: &&&str| known.contains(&format!("-lrte_{name}"));
    println!("cargo::rustc-link-search=native={}", pkg_config(&["--variable=libdir"])?.concat());
    let called = CALLED.iter().chain(CALLED_WHERE_PRESENT.iter().filter(present));
    if env::var_os("CARGO_FEATURE_STATIC").is_none() {
        for name in called {
            println!("cargo::rustc-link-lib=dylib=rte_{name}");
        }
        return Ok(());
    }
    let beneath = BENEATH.iter().chain(BENEATH_WHERE_PRESENT.iter().filter(present));
    for name in DRIVERS.iter().chain(called).chain(beneath) {
        println!("cargo::rustc-link-lib=static:+whole-archive,-bundle=rte_{name}");
    }
    for name in SYSTEM {
        println!("cargo::rustc-link-lib=dylib={name}");
    }
    Ok(())
}

/// A message of several lines as one, and not too long a one.
fn one_line(text: &str) -> String {
    text.split_whitespace().take(60).collect::<Vec<_>>().join(" ")
}
