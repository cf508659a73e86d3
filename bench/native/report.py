"""The tables of the speed bench: absolute times, ratios, geometric means, and whether each bar is met."""
import math

from rows import BARS, LIMITS

COMPUTATION = ("integer", "float", "sse")


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def number(value, width=10):
    if value is None:
        return f"{'-':>{width}}"
    digits = 3 if value < 1 else 2 if value < 100 else 1 if value < 1000 else 0
    return f"{value:>{width}.{digits}f}"


class Table:
    """One group under one setting: times[row][system] in the row's unit."""

    def __init__(self, group, setting, engines, rows, times):
        self.group, self.setting, self.engines, self.rows = group, setting, engines, rows
        self.times = {row.name: times.get(row.name, {}) for row in rows}

    def ratios(self, over, under):
        return {name: each[over] / each[under] for name, each in self.times.items()
                if each.get(over) and each.get(under)}

    def print(self):
        setting = f", {self.setting}" if self.setting else ""
        print(f"\n{self.group}{setting}")
        heads = ["native", "tcg"] + [text for engine in self.engines for text in (engine, "/native", "tcg/")]
        print(f"{'':<22}{'':>4}" + "".join(f"{head:>10}" for head in heads))
        for row in self.rows:
            each = self.times[row.name]
            if not each:
                continue
            cells = [each.get("native"), each.get("tcg")]
            for engine in self.engines:
                own, native, tcg = each.get(engine), each.get("native"), each.get("tcg")
                cells += [own, own / native if own and native else None, tcg / own if own and tcg else None]
            speed = ""
            if row.bytes and row.unit == "us":
                speed = "   MB/s: " + ", ".join(f"{name} {row.bytes / value:.1f}" for name, value in each.items())
            print(f"{row.name:<22}{row.unit:>4}" + "".join(map(number, cells)) + speed)
        means = [None, None]
        for engine in self.engines:
            means += [None, geometric_mean(list(self.ratios(engine, "native").values())),
                      geometric_mean(list(self.ratios("tcg", engine).values()))]
        print(f"{'geometric mean':<26}" + "".join(map(number, means)))

    def worst(self, over, under):
        return max(self.ratios(over, under).items(), key=lambda item: item[1], default=(None, None))

    def least(self, over, under):
        return min(self.ratios(over, under).items(), key=lambda item: item[1], default=(None, None))


class Joined(Table):
    """All computation together, which has a bar of its own."""

    def __init__(self, tables, engines):
        super().__init__("computation", "", engines, [row for table in tables for row in table.rows],
                         {name: each for table in tables for name, each in table.times.items()})


def verdict(title, value, bar, met):
    print(f"  {'met   ' if met else 'MISSED'}  {title:<58} {value:>9.3g}   bar {bar}")
    return met


def judge_table(table, engine):
    bar = BARS.get(table.group)
    name = f"{table.group}{', ' + table.setting if table.setting else ''}"
    results = []
    native, tcg = table.ratios(engine, "native"), table.ratios("tcg", engine)
    if bar is None:
        return results
    if bar.native_mean and native:
        value = geometric_mean(list(native.values()))
        results.append(verdict(f"{name}: over native, geometric mean", value, f"<= {bar.native_mean}", value <= bar.native_mean))
    if bar.native_worst and native:
        row, value = table.worst(engine, "native")
        results.append(verdict(f"{name}: over native, worst row ({row})", value, f"<= {bar.native_worst}",
                               value <= bar.native_worst))
    if bar.tcg_mean and tcg:
        value = geometric_mean(list(tcg.values()))
        results.append(verdict(f"{name}: faster than TCG, geometric mean", value, f">= {bar.tcg_mean}", value >= bar.tcg_mean))
    if bar.tcg_worst and tcg:
        row, value = table.least("tcg", engine)
        results.append(verdict(f"{name}: faster than TCG, worst row ({row})", value, f">= {bar.tcg_worst}",
                               value >= bar.tcg_worst))
    return results


def judge(tables, start, engine):
    """Prints every bar for one engine; true if all are met."""
    print(f"\nBars, engine {engine}")
    results = []
    computation = [table for table in tables if table.group in COMPUTATION]
    for table in ([Joined(computation, [engine])] if computation else []) + tables:
        results += judge_table(table, engine)
    for key, title in (("start_ms", "start to first guest instruction, ms"), ("boot_sector_ms", "start to boot sector, ms"),
                       ("beside_ram_mib", "memory beside guest RAM, MiB")):
        value = start.get(key, {}).get(engine)
        if value is not None:
            results.append(verdict(title, value, f"<= {LIMITS[key]}", value <= LIMITS[key]))
    return all(results)


def print_start(start, systems):
    if not start:
        return
    print(f"\nstart and memory\n{'':<26}" + "".join(f"{name:>10}" for name in systems))
    for key, title in (("start_ms", "first instruction, ms"), ("boot_sector_ms", "boot sector, ms"),
                       ("beside_ram_mib", "beside guest RAM, MiB")):
        if key in start:
            print(f"{title:<26}" + "".join(number(start[key].get(name)) for name in systems))
