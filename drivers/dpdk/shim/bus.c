// Where devices on a bus see the frames of a region.
//
// Behind an IOMMU each region has a window of bus addresses, one after another. Without one, devices
// see physical addresses, and those hold for a whole frame only where it lies in one hugepage, which
// nobody moves.
#include <stdlib.h>
#include <string.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>

#include "shim.h"

// A window for each region that there can be, 1 GiB each, the last 64 GiB that an IOMMU of 39 bits
// knows: it could not map the region at its virtual address, which has 47 bits. EAL keeps its own
// memory, at its virtual addresses, far below.
enum { WINDOWS = 64 };
static const uint64_t WINDOW_BYTES = UINT64_C(1) << 30;
static const uint64_t WINDOWS_START = (UINT64_C(1) << 39) - WINDOWS * (UINT64_C(1) << 30);
static bool window_taken[WINDOWS];

// The kernel moves smaller pages as it likes.
static const uint64_t HUGE_PAGE_BYTES = UINT64_C(2) << 20;

// Whether mbufs hold a bus address at all: DPDK can be built so that it is always the virtual one.
static bool mbufs_have_bus_addresses(void) {
    struct rte_mbuf mbuf;
    memset(&mbuf, 0, sizeof(mbuf));
    rte_mbuf_iova_set(&mbuf, WINDOWS_START);
    return rte_mbuf_iova_get(&mbuf) == WINDOWS_START;
}

// Pools are opened and closed by one thread.
static uint64_t take_window(const struct wirelet_pool_config *config) {
    if (mbufs_have_bus_addresses() && config->bytes <= WINDOW_BYTES) {
        for (uint64_t window = 0; window < WINDOWS; window++) {
            if (window_taken[window]) continue;
            window_taken[window] = true;
            return WINDOWS_START + window * WINDOW_BYTES;
        }
    }
    return (uintptr_t)config->base;
}

static void leave_window(uint64_t address) {
    if (address < WINDOWS_START) return;
    uint64_t window = (address - WINDOWS_START) / WINDOW_BYTES;
    if (window < WINDOWS) window_taken[window] = false;
}

// Physical addresses of all pages; false where a device could not use them.
static bool look_up_pages(struct wirelet_pool *pool) {
    const struct wirelet_pool_config *config = &pool->config;
    if (rte_eal_iova_mode() != RTE_IOVA_PA || config->page_bytes < HUGE_PAGE_BYTES ||
        config->page_bytes % config->frame_bytes != 0 || !mbufs_have_bus_addresses()) {
        return false;
    }
    for (uint32_t page = 0; page < pool->page_count; page++) {
        rte_iova_t address = rte_mem_virt2iova(config->base + page * config->page_bytes);
        // Without CAP_SYS_ADMIN the kernel tells zeros.
        if (address == RTE_BAD_IOVA || address == 0) return false;
        pool->pages[page] = address;
    }
    return true;
}

int wirelet_open_bus(struct wirelet_pool *pool) {
    const struct wirelet_pool_config *config = &pool->config;
    pool->page_count = (uint32_t)(config->bytes / config->page_bytes);
    pool->pages = calloc(pool->page_count, sizeof(*pool->pages));
    if (pool->pages == NULL) return -ENOMEM;
    pool->physical = look_up_pages(pool);
    if (pool->physical) return 0;
    pool->bus_address = take_window(config);
    for (uint32_t page = 0; page < pool->page_count; page++) {
        pool->pages[page] = pool->bus_address + page * config->page_bytes;
    }
    return 0;
}

void wirelet_close_bus(struct wirelet_pool *pool) {
    leave_window(pool->bus_address);
    free(pool->pages);
    pool->pages = NULL;
}

uint64_t wirelet_bus_address(const struct wirelet_pool *pool, uint64_t offset) {
    return pool->pages[offset / pool->config.page_bytes] + offset % pool->config.page_bytes;
}

// So that drivers may map it for DMA. Nothing of DPDK's own ever allocates from it.
int wirelet_register_bus(const struct wirelet_pool *pool) {
    const struct wirelet_pool_config *config = &pool->config;
    int status = rte_extmem_register(config->base, config->bytes, pool->pages, pool->page_count,
                                     config->page_bytes);
    return status == 0 ? 0 : -rte_errno;
}

// Bytes of an area that has addresses one after another: all of a window, or a physical page.
static uint64_t area_bytes(const struct wirelet_pool *pool) {
    return pool->physical ? pool->config.page_bytes : pool->config.bytes;
}

// Unmaps the areas before `end`.
static void unmap_areas(const struct wirelet_port *port, uint64_t end) {
    const struct wirelet_pool *pool = port->pool;
    const uint64_t bytes = area_bytes(pool);
    for (uint64_t at = 0; at < end; at += bytes) {
        const uint64_t address = wirelet_bus_address(pool, at);
        rte_dev_dma_unmap(port->device, pool->config.base + at, address, bytes);
    }
}

static int map_areas(const struct wirelet_port *port) {
    const struct wirelet_pool *pool = port->pool;
    const uint64_t bytes = area_bytes(pool);
    for (uint64_t at = 0; at < pool->config.bytes; at += bytes) {
        const uint64_t address = wirelet_bus_address(pool, at);
        if (rte_dev_dma_map(port->device, pool->config.base + at, address, bytes) < 0) {
            const int error = rte_errno;
            unmap_areas(port, at);
            return -error;
        }
    }
    return 0;
}

// A device on a bus reads and writes the frames by itself: it needs to know where they are. Devices
// behind vfio-pci share one map: it stays until the last port of the pool is closed.
int wirelet_map_for_dma(struct wirelet_port *port, char *message) {
    const char *bus = rte_bus_name(rte_dev_bus(port->device));
    if (strcmp(bus, "vdev") == 0) return 0;
    if (rte_eal_iova_mode() != RTE_IOVA_VA && !port->pool->physical) {
        return wirelet_failed(message, ENOTSUP,
                              "EAL uses physical addresses, and frames have those only in "
                              "hugepages that they fill without a rest (`hugepages: true`, "
                              "`frameBytes: 4096`); or bind the device to vfio-pci, behind an IOMMU");
    }
    int error = map_areas(port);
    if (error == 0) {
        port->dma_mapped = true;
        port->pool->dma_ports++;
        return 0;
    }
    // Nobody has to be told where there is no IOMMU.
    if (error == -ENOTSUP && (port->pool->physical || strcmp(bus, "pci") != 0)) return 0;
    return wirelet_failed(message, error, "to map the region for DMA");
}

void wirelet_unmap_for_dma(struct wirelet_port *port) {
    if (!port->dma_mapped || --port->pool->dma_ports > 0) return;
    unmap_areas(port, port->pool->config.bytes);
}
