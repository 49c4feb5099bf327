// Why nothing is signed: what the daemon found out about its own log, as a Fault.

import { Fault } from "../model/errors.ts";

export const stoppedFault = (reason: string): Fault => new Fault("LOG_DAMAGED", reason, { nothingHappened: true });
