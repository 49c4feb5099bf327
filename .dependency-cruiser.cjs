/** @type {import('dependency-cruiser').IConfiguration} */
// docs/architecture.md, section 1. Imports go to a lower rank only; rooms of one rank never meet.
const ranks = [
  ["std"],
  ["model", "tlog"],
  ["clients", "formats", "policy", "ports", "secrets"],
  ["broker", "client", "custody", "stores", "identity", "witness", "db"],
  ["cli", "console", "jobs", "server", "shims"],
];
const any = (rooms) => `^src/(${rooms.join("|")})/`;
const top = "^src/(main|daemon|recover|config)\\.ts$";
module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    {
      name: "no-orphans",
      severity: "error",
      from: { orphan: true, pathNot: ["\\.d\\.ts$", "^src/main\\.ts$"] },
      to: {},
    },
    { name: "not-to-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "not-to-dev-dep",
      severity: "error",
      from: { path: "^src" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
    { name: "not-to-undeclared", severity: "error", from: {}, to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] } },
    {
      name: "every-file-has-a-room",
      severity: "error",
      from: {},
      to: { path: "^src/", pathNot: [any(ranks.flat()), top] },
    },
    ...ranks.flatMap((rooms, rank) =>
      rooms.map((room) => ({
        name: `no-upward-or-sideways-from-${room}`,
        severity: "error",
        from: { path: any([room]) },
        to: {
          path: [
            any(
              ranks
                .slice(rank)
                .flat()
                .filter((r) => r !== room),
            ),
            top,
          ].join("|"),
        },
      })),
    ),
    {
      name: "adapters-by-daemon-only",
      severity: "error",
      from: {
        path: "^src/",
        pathNot: ["^src/(custody|stores|identity|witness|db)/", "^src/(daemon|recover|config)\\.ts$"],
      },
      to: { path: "^src/(custody|stores|identity|witness|db)/" },
    },
    {
      // The host is a program of its own: the daemon starts it and never imports it.
      name: "modules-in-the-token-host-only",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/custody/pkcs11-(host|module)\\.ts$" },
      to: { path: ["^src/custody/pkcs11-(host|module)\\.ts$", "node_modules/pkcs11js/"] },
    },
    {
      name: "clients-never-import-the-broker",
      severity: "error",
      from: { path: "^src/(cli|shims|console)/" },
      to: { path: "^src/broker/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    parser: "tsc",
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
    },
  },
};
