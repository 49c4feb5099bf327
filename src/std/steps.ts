// Named steps of the signing cycle. In production a step does nothing; a test starts the real daemon with one step
// named and the process kills itself there, so that "what if we die on this line" is a test and not an opinion.

export const steps = [
  "sign.before-intent",
  "log.before-commit",
  "log.after-commit",
  "sign.after-intent",
  "sign.after-custody",
  "sign.after-outcome",
  "open.after-commit",
  "key.after-create-intent",
  "key.after-create",
  "key.after-enroll-intent",
  "key.after-possession",
  "key.after-destroy-intent",
  "key.after-destroy",
  "rotate.after-begin",
  "rotate.after-intent",
  "rotate.after-make",
  "rotate.after-outcome",
  "rotate.after-publish",
  "rotate.after-switch",
  "rotate.after-cancel",
  "publish.after-tiles",
] as const;
/** Of `signetd recover`. */
export const recoverySteps = [
  "recover.before-prepared",
  "recover.prepared",
  "recover.one-moved-aside",
  "recover.moved-aside",
  "recover.one-put-in-place",
] as const;

export type StepName = (typeof steps)[number] | (typeof recoverySteps)[number];
export type Step = (name: StepName) => void;

export const noStep: Step = () => undefined;
