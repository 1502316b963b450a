#!/usr/bin/env python3
"""Checks licences, bans and sources of every dependency against deny.toml.

It does the part of `cargo deny check` that needs neither a build nor a network, for machines
without cargo-deny. The tree comes from `cargo tree`, which leaves out optional dependencies that
no feature turns on; sources come from Cargo.lock.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Expression:
    """An SPDX licence expression (`MIT OR (Apache-2.0 AND ISC)`), old `MIT/Apache-2.0` too."""

    def __init__(self, text):
        self.text = text
        self.tokens = re.findall(r"[()]|[^\s()]+", text.replace("/", " OR "))
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self):
        token = self.peek()
        if token is None:
            raise ValueError(f"`{self.text}` ends too early")
        self.at += 1
        return token

    def satisfied(self, allowed, used):
        """Whether `allowed` suffice; those that were needed are added to `used`."""
        result = self.either(allowed, used)
        if self.peek() is not None:
            raise ValueError(f"`{self.text}` cannot be read from `{self.peek()}` on")
        return result

    def either(self, allowed, used):
        result = self.both(allowed, used)
        while self.peek() == "OR":
            self.take()
            # Both sides are read in any case.
            result = self.both(allowed, used) or result
        return result

    def both(self, allowed, used):
        result = self.one(allowed, used)
        while self.peek() == "AND":
            self.take()
            result = self.one(allowed, used) and result
        return result

    def one(self, allowed, used):
        token = self.take()
        if token == "(":
            result = self.either(allowed, used)
            if self.take() != ")":
                raise ValueError(f"`{self.text}` lacks a closing parenthesis")
            return result
        if token in (")", "AND", "OR", "WITH"):
            raise ValueError(f"`{self.text}` has a stray `{token}`")
        if self.peek() == "WITH":
            self.take()
            token = f"{token} WITH {self.take()}"
        if token in allowed:
            used.add(token)
            return True
        return False


def tree():
    """Every package of the tree with its licence expression."""
    command = ["cargo", "tree", "--locked", "--all-features", "--target", "all",
               "--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}|{l}"]
    out = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    packages = {}
    for line in out.splitlines():
        if not line.strip():
            continue
        package, licence = line.removesuffix(" (*)").split("|", 1)
        name, version = package.split()[:2]
        packages[name, version.removeprefix("v")] = licence.strip()
    return packages


def main():
    deny = tomllib.loads((ROOT / "deny.toml").read_text())
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    allow = set(deny["licenses"]["allow"])
    exceptions = {entry["crate"]: set(entry["allow"]) for entry in deny["licenses"]["exceptions"]}
    banned = {entry["crate"]: entry["reason"] for entry in deny["bans"]["deny"]}
    registries = {f"registry+{url}" for url in deny["sources"]["allow-registry"]}

    packages = tree()
    problems, used = [], set()
    for (name, version), licence in sorted(packages.items()):
        try:
            fine = Expression(licence).satisfied(allow | exceptions.get(name, set()), used)
        except ValueError as error:
            fine = False
            problems.append(f"{name} {version}: {error}")
        if not fine:
            problems.append(f"{name} {version}: the licence `{licence}` is not allowed")
        if name in banned:
            problems.append(f"{name} {version} is banned: {banned[name]}")
    for package in lock["package"]:
        source = package.get("source")
        if source is not None and source not in registries:
            problems.append(f"{package['name']} {package['version']}: the source `{source}` is not allowed")
    if len(packages) < 2:
        problems.append("the tree has no dependencies: it cannot have been read rightly")

    for licence in sorted(allow - used):
        print(f"note: nothing needs the licence `{licence}`")
    for name in sorted(set(exceptions) - {name for name, _ in packages}):
        print(f"note: nothing depends on `{name}`, which has an exception")
    for problem in problems:
        print(f"error: {problem}")
    print(f"licences, bans, sources: {len(packages)} packages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
